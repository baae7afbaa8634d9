import { DISPLAY_WINDOWS, isBlood, LABELS, type HuWindow } from '@aaunet/imaging';

import type { Loaded } from './inference.worker.js';
import type { LabelEditor } from './label-editor.js';
import type { ModelInfo } from './model-file.js';
import { NOBODY, type Origin } from './origin.js';
import type { SeriesOffer, Study } from './study.js';

export const RESEARCH = 'Research use only: not a medical device, not for diagnosis.';

export type Layout = 'axial' | 'planes' | 'volume';

/** A run of the network over the scan that is open. */
export interface Run {
  readonly started: number;
  /** Slices that the network has looked at. */
  readonly done: ReadonlySet<number>;
}

/** All that the page knows: the viewer changes it, and what is shown is made from it. */
export interface Session {
  study: Study | undefined;
  editor: LabelEditor | undefined;
  model: Loaded | undefined;
  /** Series to choose from, of the study or of files in which none was found that suits. */
  series: SeriesOffer;
  /** The run that is going on. */
  run: Run | undefined;
  isReading: boolean;
  isLoading: boolean;
  layout: Layout;
  slice: number;
  window: HuWindow;
  /** Opacity of the masks, 0 to 1. */
  opacity: number;
  /** Types that are not shown. */
  hidden: ReadonlySet<number>;
  /** Whether there are masks that no file has. */
  isUnsaved: boolean;
}

export function newSession(): Session {
  return {
    study: undefined,
    editor: undefined,
    model: undefined,
    series: { options: [], chosen: undefined },
    run: undefined,
    isReading: false,
    isLoading: false,
    layout: 'axial',
    slice: 0,
    window: DISPLAY_WINDOWS.brain,
    opacity: 0.45,
    hidden: new Set(),
    isUnsaved: false,
  };
}

/** Whether a scan can be opened: not while one is read, or a network looks at the one that is open. */
export const mayOpen = ({ isReading, run }: Session): boolean => !isReading && run === undefined;

/** Whether a network can be loaded. */
export const mayLoad = ({ isLoading, run }: Session): boolean => !isLoading && run === undefined;

/** Whether masks can be corrected and saved. */
export const mayEdit = (session: Session): boolean => session.study !== undefined && mayOpen(session);

export const mayRun = (session: Session): boolean =>
  session.model !== undefined && mayEdit(session) && mayLoad(session);

export const originOf = ({ editor }: Session): Origin => editor?.origin ?? NOBODY;

/** Whether anyone has looked for lesions: before that, 0 mL would be a finding that nobody made. */
export function isAssessed(session: Session): boolean {
  const origin = originOf(session);
  if (origin.kind === 'network') return origin.slices.size > 0 || origin.isEdited;
  return origin.kind !== 'nobody';
}

/** Whether corrections would be lost with the scan. */
export const hasUnsavedCorrections = (session: Session): boolean => session.isUnsaved && originOf(session).isEdited;

/** The network that outlined, or the one that would where nobody has looked. */
function networkOf(session: Session): ModelInfo | undefined {
  const origin = originOf(session);
  if (origin.kind === 'network') return origin.model;
  return origin.kind === 'nobody' ? session.model?.info : undefined;
}

/** What a run that was cancelled has left out. */
function partialOf(session: Session): string[] {
  const origin = originOf(session);
  const total = session.study?.scan.slices ?? 0;
  if (origin.kind !== 'network' || session.run !== undefined || origin.slices.size >= total) return [];
  return [`Only ${origin.slices.size} of ${total} slices were looked at; the others are not assessed.`];
}

/** What a reader must know beside the findings, a sentence each. */
export function warningsOf(session: Session): string[] {
  const { study } = session;
  const origin = originOf(session);
  const network = networkOf(session);
  const ofNetwork = [
    ...(network?.synthetic
      ? ['The network was trained on synthetic data: its results mean nothing for patients.']
      : []),
    ...(network?.approximateHu
      ? ['The network was trained on approximate HU, from pictures of a display window; it may do worse on real ones.']
      : []),
  ];
  return [
    ...ofNetwork,
    ...partialOf(session),
    ...(origin.kind === 'file' ? origin.warnings : []),
    ...(study?.warnings ?? []),
  ];
}

/** What stands in files that are saved. */
export function noticeOf(session: Session): string {
  const origin = originOf(session);
  const isSynthetic = origin.kind === 'network' && origin.model.synthetic;
  const synthetic = isSynthetic ? ['The network was trained on synthetic data.'] : [];
  return [RESEARCH, ...synthetic, ...partialOf(session)].join(' ');
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
  const { editor } = session;
  const origin = originOf(session);
  return LABELS.map(({ id, name }) => ({
    id,
    name,
    ml: editor?.volumeMl(id) ?? 0,
    slice: editor?.fullestSlice(id),
    isAssessed:
      isAssessed(session) && (origin.kind !== 'network' || origin.isEdited || origin.model.annotated.includes(name)),
  }));
}
