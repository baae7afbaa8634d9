import { fromCanonical, LABELS, writeNiftiGz, type HuWindow, type NamedBlob } from '@aaunet/imaging';

import { save } from './elements.js';
import type { Loaded } from './inference.worker.js';
import { LabelEditor } from './label-editor.js';
import { attempt, say } from './messages.js';
import type { ModelInfo } from './model-file.js';
import { reportPage } from './report.js';
import type { SliceResult } from './segment-scan.js';
import {
  findingsOf,
  isRunning,
  newSession,
  noticeOf,
  RESEARCH,
  warningsOf,
  type Run,
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

const started = (worker: Worker): WorkerCaller => new WorkerCaller(worker);

/** What a user can do: each method changes the session, tells the stage, and has the view show it. */
export class Viewer {
  readonly #session: Session = newSession();
  readonly #reader = started(new Worker(new URL('./reader.worker.ts', import.meta.url), { type: 'module' }));
  readonly #inference = started(new Worker(new URL('./inference.worker.ts', import.meta.url), { type: 'module' }));

  constructor(
    readonly stage: Stage,
    readonly view: View,
  ) {}

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
    if (first === undefined || isRunning(this.#session)) return;
    if (files.length === 1 && first.name.endsWith('.onnx')) {
      attempt(() => this.loadModel(first.blob));
      return;
    }
    performance.mark('aaunet-drop');
    say('Reading …');
    attempt(async () => {
      const opened = await this.#reader.call<Opened>('open', files);
      if (opened.kind === 'masks') this.#takeMasks(first.name, opened);
      else await this.#take(opened);
    });
  }

  choose(seriesUid: string): void {
    attempt(async () => {
      await this.#take(await this.#reader.call<Study>('choose', seriesUid));
    });
  }

  async #take(study: Study): Promise<void> {
    performance.mark('aaunet-read');
    const { model, window, opacity, hidden } = this.#session;
    const editor = new LabelEditor(study.scan);
    Object.assign(this.#session, newSession(), { study, editor, model, window, opacity, hidden });
    await this.stage.show(study.scan);
    this.#session.slice = Math.floor(study.scan.slices / 2);
    this.setMasks({});
    this.show();
    performance.mark('aaunet-first-image');
    say(`${study.scan.slices} slices open.`);
  }

  #takeMasks(file: string, { labels, warnings }: Extract<Opened, { kind: 'masks' }>): void {
    const { editor } = this.#session;
    if (!editor) return;
    editor.begin();
    editor.setAll(labels);
    editor.end();
    Object.assign(this.#session, { masks: { file, warnings }, run: undefined, isEdited: false, isUnsaved: false });
    this.stage.setLabels(editor.data);
    this.show();
    say(`Masks of ${file} open.`);
  }

  async loadModel(blob: Blob): Promise<void> {
    say('Loading the network …');
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const gpu = new URLSearchParams(location.search).get('backend') !== 'wasm';
    this.#session.model = await this.#inference.call<Loaded>('load', { bytes, gpu }, undefined, [bytes.buffer]);
    this.show();
    say(`Network ${this.#session.model.info.name} ready.`);
  }

  run(): void {
    const { study, editor, model } = this.#session;
    if (study && editor && model) attempt(() => this.#run(study, editor, model.info));
  }

  async #run({ scan }: Study, editor: LabelEditor, model: ModelInfo): Promise<void> {
    const run: Run = { model, started: performance.now(), done: new Set(), isGoing: true };
    Object.assign(this.#session, { run, isUnsaved: true });
    say(`Looking at ${scan.slices} slices.`);
    editor.begin();
    this.show();
    try {
      const start = this.#session.slice;
      const isWhole = await this.#inference.call<boolean>('segment', { scan, start }, (result: SliceResult) => {
        editor.setSlice(result.slice, result.labels);
        this.stage.setLabels(editor.data, [result.slice]);
        run.done.add(result.slice);
        this.show();
      });
      if (isWhole) Object.assign(this.#session, { isEdited: false, masks: undefined });
      say(isWhole ? `Done: ${scan.slices} slices.` : `Cancelled after ${run.done.size} of ${scan.slices} slices.`);
    } finally {
      editor.end();
      run.isGoing = false;
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

  /** The stage went to another slice by itself. */
  wentTo(slice: number): void {
    this.#session.slice = slice;
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

  /** The masks that can be corrected now. */
  get editable(): LabelEditor | undefined {
    return isRunning(this.#session) ? undefined : this.#session.editor;
  }

  /** Masks were painted in a slice. */
  painted(slice: number): void {
    if (!this.#session.editor) return;
    this.#session.isEdited = this.#session.isUnsaved = true;
    this.stage.setLabels(this.#session.editor.data, [slice]);
  }

  step(direction: 'undo' | 'redo'): void {
    const editor = this.editable;
    if (!editor) return;
    editor[direction]();
    this.#session.isEdited = this.#session.isUnsaved = true;
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
    const { study, editor, run } = this.#session;
    if (!study || !editor) return;
    const maker = {
      algorithm: run?.model.name ?? 'by hand',
      software: 'aaunet viewer',
      weights: run?.model.sha256 ?? 'none',
      notice: noticeOf(this.#session),
    };
    attempt(async () => {
      const labels = fromCanonical(editor.data, study.map);
      const bytes = await this.#reader.call<Uint8Array>('segmentation', { labels, maker });
      save('segmentation.dcm', bytes, 'application/dicom');
      this.#session.isUnsaved = false;
    });
  }

  saveReport(): void {
    const { study, run, isEdited, masks } = this.#session;
    if (!study) return;
    const page = reportPage({
      study,
      findings: findingsOf(this.#session),
      model: run?.model,
      masks: masks?.file,
      isEdited,
      warnings: [RESEARCH, ...warningsOf(this.#session)],
      picture: this.stage.picture(),
    });
    save('report.html', page, 'text/html');
  }
}
