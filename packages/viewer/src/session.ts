import { DISPLAY_WINDOWS, isBlood, LABELS, type HuWindow } from '@aaunet/imaging';

import type { Loaded } from './inference.worker.js';
import type { LabelEditor } from './label-editor.js';
import type { ModelInfo } from './model-file.js';
import type { Study } from './study.js';

export const RESEARCH = 'Research use only: not a medical device, not for diagnosis.';

/** A run of the network over a scan. */
export interface Run {
  readonly model: ModelInfo;
  readonly started: number;
  /** Slices that the network has looked at. */
  readonly done: Set<number>;
  isGoing: boolean;
}

/** All that the page knows: the viewer changes it, and what is shown is made from it. */
export interface Session {
  study: Study | undefined;
  editor: LabelEditor | undefined;
  model: Loaded | undefined;
  run: Run | undefined;
  slice: number;
  window: HuWindow;
  /** Opacity of the masks, 0 to 1. */
  opacity: number;
  /** Types that are not shown. */
  hidden: ReadonlySet<number>;
  isEdited: boolean;
  /** Whether there are masks that no file has. */
  isUnsaved: boolean;
  /** The file that the masks came from, with what is to be said of it. */
  masks: { readonly file: string; readonly warnings: readonly string[] } | undefined;
}

export function newSession(): Session {
  return {
    study: undefined,
    editor: undefined,
    model: undefined,
    run: undefined,
    slice: 0,
    window: DISPLAY_WINDOWS.brain,
    opacity: 0.45,
    hidden: new Set(),
    isEdited: false,
    isUnsaved: false,
    masks: undefined,
  };
}

export const isRunning = ({ run }: Session): boolean => run?.isGoing ?? false;

/** Whether anyone has looked for lesions: before that, 0 mL would be a finding that nobody made. */
export function isAssessed({ editor, run, isEdited, masks }: Session): boolean {
  return editor !== undefined && ((run?.done.size ?? 0) > 0 || isEdited || masks !== undefined);
}

/** The network that outlined, or else the one that would. */
const networkOf = ({ run, model }: Session): ModelInfo | undefined => run?.model ?? model?.info;

/** What a reader must know beside the findings, a sentence each. */
export function warningsOf(session: Session): string[] {
  const { study, run, masks } = session;
  const network = networkOf(session);
  const ofNetwork = [
    ...(network?.synthetic
      ? ['The network was trained on synthetic data: its results mean nothing for patients.']
      : []),
    ...(network?.approximateHu
      ? ['The network was trained on approximate HU, from pictures of a display window; it may do worse on real ones.']
      : []),
  ];
  const [done, total] = [run?.done.size ?? 0, study?.scan.slices ?? 0];
  const partial =
    run && !run.isGoing && done > 0 && done < total
      ? [`Only ${done} of ${total} slices were looked at; the others are not assessed.`]
      : [];
  return [...ofNetwork, ...partial, ...(masks?.warnings ?? []), ...(study?.warnings ?? [])];
}

/** What stands in files that are saved. */
export function noticeOf(session: Session): string {
  return [RESEARCH, ...(networkOf(session)?.synthetic ? ['The network was trained on synthetic data.'] : [])].join(' ');
}

export interface Finding {
  readonly id: number;
  readonly name: string;
  readonly ml: number;
  /** The slice with most of it; undefined where there is none. */
  readonly slice: number | undefined;
  /** Whether "none" may be said of it. */
  readonly isAssessed: boolean;
}

/** The blood of all types, mL: air is none. */
export function bloodMl(findings: readonly Finding[]): number {
  return findings.filter(({ id }) => isBlood(id)).reduce((sum, { ml }) => sum + ml, 0);
}

/** What the masks say of each type. */
export function findingsOf(session: Session): Finding[] {
  const { editor, run, isEdited, masks } = session;
  return LABELS.map(({ id, name }) => {
    const isTaught = run === undefined || run.model.annotated.includes(name);
    return {
      id,
      name,
      ml: editor?.volumeMl(id) ?? 0,
      slice: editor?.fullestSlice(id),
      isAssessed: isAssessed(session) && (isTaught || isEdited || masks !== undefined),
    };
  });
}
