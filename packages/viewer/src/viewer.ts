import { count, fromCanonical, LABELS, writeNiftiGz, type HuWindow, type NamedBlob } from '@aaunet/imaging';

import { save } from './elements.js';
import type { Loaded } from './inference.worker.js';
import { LabelEditor, type Plane, type Voxel } from './label-editor.js';
import { attempt, fail, say } from './messages.js';
import type { ModelInfo } from './model-file.js';
import { makerOf } from './origin.js';
import { reportPage } from './report.js';
import type { SliceResult } from './segment-scan.js';
import {
  findingsOf,
  hasUnsavedCorrections,
  mayEdit,
  mayLoad,
  mayOpen,
  mayRun,
  newSession,
  noticeOf,
  originOf,
  RESEARCH,
  warningsOf,
  type Layout,
  type Session,
} from './session.js';
import type { Stage } from './stage.js';
import type { Opened, Study } from './study.js';
import { WorkerCaller } from './worker-call.js';

/** What is shown beside the images; made anew from the session after a change. */
export interface View {
  show(session: Session): void;
  /** After a change of slice or window alone, which come with every step of a wheel. */
  showPlace(session: Session): void;
}

/** What a brush paints. */
export interface Pen {
  /** 0 erases. */
  readonly label: number;
  /** In pixels of a slice. */
  readonly radius: number;
}

const started = (worker: Worker): WorkerCaller => new WorkerCaller(worker);

/** What a user can do: each method changes the session, tells the stage, and has the view show it. */
export class Viewer {
  readonly #session: Session = newSession();
  readonly #reader = started(new Worker(new URL('./reader.worker.ts', import.meta.url), { type: 'module' }));
  readonly #inference = started(new Worker(new URL('./inference.worker.ts', import.meta.url), { type: 'module' }));

  constructor(
    readonly stage: Stage,
    readonly view: View,
  ) {
    stage.onSlice = (slice) => {
      this.#session.slice = slice;
      view.showPlace(this.#session);
    };
    stage.onLost = fail;
    stage.onRestored = () => {
      attempt(() => this.#restore());
    };
  }

  /** The session, to be read. */
  get session(): Readonly<Session> {
    return this.#session;
  }

  show(): void {
    this.view.show(this.#session);
  }

  /** Opens scan, saved masks or network, whichever the files are. */
  open(files: readonly NamedBlob[]): void {
    const [first] = files;
    if (first === undefined) return;
    if (files.length === 1 && first.name.endsWith('.onnx')) {
      this.loadModel(first.blob);
      return;
    }
    if (!this.#mayReplace()) return;
    performance.mark('aaunet-drop');
    this.#read(async () => {
      const opened = await this.#reader.call<Opened>('open', files);
      if (opened.kind === 'study') await this.#take(opened);
      else if (opened.kind === 'masks') this.#takeMasks(first.name, opened);
      else {
        this.#session.series = opened.series;
        throw new Error('None of the series seems to be of original axial slices: choose one of the list Series.');
      }
    });
  }

  choose(selector: string): void {
    if (this.#mayReplace()) this.#read(async () => this.#take(await this.#reader.call<Study>('choose', selector)));
    else this.show();
  }

  /** Whether another scan may take the place of the one that is open; asks where corrections would be lost. */
  #mayReplace(): boolean {
    if (!mayOpen(this.#session)) {
      say(`${this.#session.run ? 'The network is at work' : 'A scan is being read'}: open others after it.`);
      return false;
    }
    return (
      !hasUnsavedCorrections(this.#session) || confirm('Corrections have not been saved and would be lost. Go on?')
    );
  }

  #read(task: () => Promise<void>): void {
    say('Reading …');
    attempt(async () => {
      this.#session.isReading = true;
      this.show();
      try {
        await task();
      } finally {
        this.#session.isReading = false;
        this.show();
      }
    });
  }

  async #take(study: Study): Promise<void> {
    performance.mark('aaunet-read');
    await this.stage.show(study.scan);
    const editor = new LabelEditor(study.scan);
    const slice = Math.floor(study.scan.slices / 2);
    Object.assign(this.#session, { study, editor, slice, series: study.series, isUnsaved: false });
    this.setMasks({});
    performance.mark('aaunet-first-image');
    say(`${count(study.scan.slices, 'slice')} open.`);
  }

  #takeMasks(name: string, { labels, warnings }: Extract<Opened, { kind: 'masks' }>): void {
    const { editor } = this.#session;
    if (!editor) return;
    editor.begin({ kind: 'file', name, warnings, isEdited: false });
    editor.setAll(labels);
    editor.end();
    this.stage.setLabels(editor.data);
    this.#session.isUnsaved = false;
    say(`Masks of ${name} open.`);
  }

  loadModel(blob: Blob): void {
    if (!mayLoad(this.#session)) {
      say(`${this.#session.run ? 'The network is at work' : 'A network is being loaded'}: choose another after it.`);
      return;
    }
    say('Loading the network …');
    attempt(async () => {
      this.#session.isLoading = true;
      this.show();
      try {
        const bytes = new Uint8Array(await blob.arrayBuffer());
        const gpu = new URLSearchParams(location.search).get('backend') !== 'wasm';
        this.#session.model = await this.#inference.call<Loaded>('load', { bytes, gpu }, undefined, [bytes.buffer]);
        say(`Network ${this.#session.model.info.name} ready.`);
      } finally {
        this.#session.isLoading = false;
        this.show();
      }
    });
  }

  run(): void {
    const { study, editor, model } = this.#session;
    if (study && editor && model && mayRun(this.#session)) attempt(() => this.#run(study, editor, model.info));
  }

  async #run({ scan }: Study, editor: LabelEditor, model: ModelInfo): Promise<void> {
    const done = new Set<number>();
    editor.begin({ kind: 'network', model, slices: done, isEdited: false });
    this.#session.run = { started: performance.now(), done };
    this.stage.setLabels(editor.data);
    say(`Looking at ${count(scan.slices, 'slice')}.`);
    this.show();
    try {
      const start = this.#session.slice;
      const isWhole = await this.#inference.call<boolean>('segment', { scan, start }, (result: SliceResult) => {
        editor.setSlice(result.slice, result.labels);
        this.stage.setLabels(editor.data, [result.slice]);
        done.add(result.slice);
        this.show();
      });
      const total = count(scan.slices, 'slice');
      say(isWhole ? `Done: ${total}.` : `Cancelled after ${done.size} of ${total}.`);
    } finally {
      if (done.size === 0) editor.drop();
      else this.#session.isUnsaved = editor.end();
      this.#session.run = undefined;
      this.stage.setLabels(editor.data);
      this.show();
    }
  }

  cancel(): void {
    say('Stopping after this slice …');
    attempt(() => this.#inference.call('stop', undefined));
  }

  goTo(slice: number): void {
    const last = (this.#session.study?.scan.slices ?? 1) - 1;
    this.#session.slice = Math.max(0, Math.min(last, slice));
    this.stage.setSlice(this.#session.slice);
    this.view.showPlace(this.#session);
  }

  goBy(slices: number): void {
    this.goTo(this.#session.slice + slices);
  }

  setLayout(layout: Layout): void {
    this.#session.layout = layout;
    this.stage.setLayout(layout);
    this.view.showPlace(this.#session);
  }

  setWindow(window: HuWindow): void {
    this.#session.window = window;
    this.stage.setWindow(window);
    this.view.showPlace(this.#session);
  }

  /** How masks are shown; what is absent stays. */
  setMasks(how: Partial<Pick<Session, 'opacity' | 'hidden'>>): void {
    Object.assign(this.#session, how);
    this.stage.setMasks(this.#session.opacity, this.#session.hidden);
    this.show();
  }

  toggleType(id: number, isShown: boolean): void {
    const { hidden } = this.#session;
    this.setMasks({ hidden: new Set(isShown ? [...hidden].filter((other) => other !== id) : [...hidden, id]) });
  }

  toggleAll(): void {
    this.setMasks({ hidden: new Set(this.#session.hidden.size > 0 ? [] : LABELS.map(({ id }) => id)) });
  }

  get #editable(): LabelEditor | undefined {
    return mayEdit(this.#session) ? this.#session.editor : undefined;
  }

  /** Begins a stroke of the brush; false while masks cannot be corrected. */
  beginStroke(): boolean {
    this.#editable?.begin();
    return this.#editable !== undefined;
  }

  /** Paints from one voxel of a plane to another; label 0 erases. */
  paint(plane: Plane, from: Voxel, to: Voxel, { label, radius }: Pen): void {
    const editor = this.#editable;
    if (editor) this.stage.setLabels(editor.data, editor.paint(plane, from, to, radius, label));
  }

  endStroke(): void {
    const { editor, run } = this.#session;
    if (run !== undefined || !editor?.end()) return;
    this.#session.isUnsaved = true;
    this.show();
  }

  /** Takes back the stroke that has begun. */
  dropStroke(): void {
    const editor = this.#editable;
    editor?.drop();
    if (editor) this.stage.setLabels(editor.data);
  }

  step(direction: 'undo' | 'redo'): void {
    const editor = this.#editable;
    if (!editor?.[direction]()) return;
    this.#session.isUnsaved = true;
    this.stage.setLabels(editor.data);
    this.show();
  }

  saveNifti(): void {
    const { study, editor } = this.#session;
    if (!study || !editor) return;
    const labels = fromCanonical(editor.data, study.map);
    const bytes = writeNiftiGz(labels, { description: 'aaunet, research use only' });
    save('segmentation.nii.gz', bytes, 'application/gzip');
    this.#session.isUnsaved = false;
  }

  saveSegmentation(): void {
    const { study, editor } = this.#session;
    if (!study || !editor) return;
    const maker = { ...makerOf(editor.origin), software: 'aaunet viewer', notice: noticeOf(this.#session) };
    attempt(async () => {
      const labels = fromCanonical(editor.data, study.map);
      const bytes = await this.#reader.call<Uint8Array>('segmentation', { labels, maker });
      save('segmentation.dcm', bytes, 'application/dicom');
      this.#session.isUnsaved = false;
    });
  }

  saveReport(): void {
    const { study } = this.#session;
    if (!study) return;
    const page = reportPage({
      study,
      findings: findingsOf(this.#session),
      origin: originOf(this.#session),
      // A network that has looked at nothing is no part of it.
      warnings: [RESEARCH, ...warningsOf({ ...this.#session, model: undefined })],
      picture: this.stage.picture(),
    });
    save('report.html', page, 'text/html');
  }

  /** Shows all again that the GPU has forgotten. */
  async #restore(): Promise<void> {
    const { study, editor, slice } = this.#session;
    await this.stage.restart();
    if (!study || !editor) return;
    await this.stage.show(study.scan);
    this.stage.setLabels(editor.data);
    this.setMasks({});
    this.goTo(slice);
  }
}
