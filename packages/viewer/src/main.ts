import {
  DISPLAY_WINDOWS,
  fromCanonical,
  LABELS,
  spacingOf,
  writeNiftiGz,
  type HuWindow,
  type NamedBlob,
} from '@aaunet/imaging';

import { chosenFiles, droppedFiles } from './dropped-files.js';
import { box, button, choice, choose, element, input, onChoice, save, select } from './elements.js';
import type { Loaded } from './inference.worker.js';
import { LabelEditor } from './label-editor.js';
import { bindPainting } from './painting.js';
import { ml, reportPage } from './report.js';
import type { SliceResult } from './segment-scan.js';
import { Stage, type Layout } from './stage.js';
import type { Study } from './study.js';
import { WorkerCaller } from './worker-call.js';

const RESEARCH = 'Research use only: not a medical device, not for diagnosis.';

/** All that the page knows; what is shown is made from it by {@link show}. */
const state = {
  study: undefined as Study | undefined,
  editor: undefined as LabelEditor | undefined,
  model: undefined as Loaded | undefined,
  slice: 0,
  hidden: new Set<number>(),
  isRunning: false,
  isEdited: false,
  /** Slices that the network has looked at. */
  done: new Set<number>(),
};

const stage = new Stage(element('canvas', HTMLCanvasElement));
const reader = new WorkerCaller(new Worker(new URL('./reader.worker.ts', import.meta.url), { type: 'module' }));
const inference = new WorkerCaller(new Worker(new URL('./inference.worker.ts', import.meta.url), { type: 'module' }));

function say(text: string): void {
  box('status').textContent = text;
}

function fail(error: unknown): void {
  box('error').textContent = error instanceof Error ? error.message : String(error);
  box('error').hidden = false;
  say('');
}

/** Runs what a user asked for; what goes wrong is said in the page. */
function attempt(task: () => Promise<void>): void {
  box('error').hidden = true;
  task().catch(fail);
}

function warnings(): string[] {
  const { study, model, done } = state;
  const synthetic = model?.info.synthetic
    ? ['The network was trained on synthetic data: its results mean nothing for patients.']
    : [];
  const partial =
    study && done.size > 0 && done.size < study.scan.slices && !state.isRunning
      ? [`Only ${done.size} of ${study.scan.slices} slices were looked at; the others are not assessed.`]
      : [];
  return [...synthetic, ...partial, ...(study?.warnings ?? []), ...(model?.notes ?? [])];
}

function showFindings(): void {
  const { editor, model, hidden } = state;
  // Before anyone has looked, 0 mL would be a finding that nobody made.
  const isAssessed = editor !== undefined && (state.done.size > 0 || state.isEdited);
  const body = box('findings').querySelector('tbody')!;
  if (body.childElementCount === 0) body.append(...LABELS.map(findingRow));
  let total = 0;
  for (const [index, { id, name }] of LABELS.entries()) {
    const row = body.children[index] as HTMLTableRowElement;
    const volume = editor?.volumeMl(id) ?? 0;
    const slice = editor?.fullestSlice(id);
    total += volume;
    row.classList.toggle('none', volume === 0);
    row.querySelector('input')!.checked = !hidden.has(id);
    const unknown = model !== undefined && !model.info.annotated.includes(name);
    row.cells[1]!.textContent = volume === 0 && unknown ? 'not assessed' : isAssessed ? ml(volume) : '–';
    const jump = row.querySelector('button')!;
    jump.hidden = slice === undefined;
    jump.textContent = slice === undefined ? '' : String(slice + 1);
    jump.setAttribute('aria-label', `Go to slice ${(slice ?? 0) + 1} with most ${name}`);
  }
  box('total').textContent = isAssessed ? `${ml(total)} mL in all` : '';
}

function findingRow({ id, name, title, color }: (typeof LABELS)[number]): HTMLTableRowElement {
  const row = document.createElement('tr');
  const label = document.createElement('label');
  const toggle = document.createElement('input');
  toggle.type = 'checkbox';
  toggle.addEventListener('change', () => {
    if (toggle.checked) state.hidden.delete(id);
    else state.hidden.add(id);
    showMasks();
  });
  const swatch = document.createElement('span');
  swatch.className = 'swatch';
  swatch.style.background = `rgb(${color.join()})`;
  label.append(toggle, swatch, name);
  label.title = title;
  const jump = document.createElement('button');
  jump.type = 'button';
  jump.addEventListener('click', () => {
    const slice = state.editor?.fullestSlice(id);
    if (slice !== undefined) goTo(slice);
  });
  row.insertCell().append(label);
  row.insertCell();
  row.insertCell().append(jump);
  return row;
}

/** Where in the study there is something: a tick of each type's colour over the slider. */
function showTicks(): void {
  const canvas = element('ticks', HTMLCanvasElement);
  const { editor, study } = state;
  canvas.width = canvas.clientWidth * devicePixelRatio;
  canvas.height = canvas.clientHeight * devicePixelRatio;
  const context = canvas.getContext('2d')!;
  if (!editor || !study) return;
  const { slices } = study.scan;
  const wide = canvas.width / slices;
  for (let k = 0; k < slices; k++) {
    const found = LABELS.filter(({ id }) => editor.count(k, id) > 0);
    found.forEach(({ color }, index) => {
      context.fillStyle = `rgb(${color.join()})`;
      const high = canvas.height / found.length;
      context.fillRect(k * wide + 1, index * high, Math.max(1, wide - 2), high);
    });
  }
}

function showSlice(): void {
  const { study, slice } = state;
  if (!study) return;
  input('slice').value = String(slice + 1);
  input('slice').setAttribute('aria-valuetext', `slice ${slice + 1} of ${study.scan.slices}`);
  box('slice-text').textContent = `${slice + 1} / ${study.scan.slices}`;
  box('corner').textContent =
    `${slice + 1} / ${study.scan.slices}   C ${input('center').value} W ${input('width').value}`;
}

function show(): void {
  const { study, editor, model, isRunning } = state;
  box('welcome').hidden = study !== undefined;
  box('corner').hidden = study === undefined;
  input('slice').disabled = study === undefined;
  button('run').disabled = !study || !model || isRunning;
  button('cancel').hidden = !isRunning;
  box('progress-box').hidden = !isRunning;
  button('undo').disabled = isRunning || !editor?.canUndo;
  button('redo').disabled = isRunning || !editor?.canRedo;
  for (const id of ['save-nifti', 'save-report']) button(id).disabled = !study || isRunning;
  button('save-seg').disabled = study?.source !== 'dicom' || isRunning;
  box('model-name').textContent = model ? model.info.name : 'No model';
  box('model-text').textContent = model
    ? `${model.info.name}, ${model.info.size} x ${model.info.size}, ${model.info.precision}, on ${model.backend}. Weights ${model.info.sha256.slice(0, 12)}.`
    : 'None. Choose an ONNX file that "aaunet export" wrote, or serve one with "aaunet serve --model".';
  if (study) {
    const { columns, rows, slices, affine } = study.scan;
    const spacing = spacingOf(affine).map((mm) => mm.toFixed(2));
    box('study-text').textContent =
      `${study.name}: ${slices} slices of ${columns} x ${rows}, ${spacing.join(' x ')} mm, ${study.source === 'dicom' ? 'DICOM' : 'NIfTI'}.`;
  }
  box('warnings').replaceChildren(
    ...warnings().map((text) => {
      const paragraph = document.createElement('p');
      paragraph.className = 'notice';
      paragraph.textContent = text;
      return paragraph;
    }),
  );
  showSlice();
  showFindings();
  showTicks();
}

function showMasks(): void {
  stage.setMasks(Number(input('opacity').value) / 100, state.hidden);
}

function goTo(slice: number): void {
  const last = (state.study?.scan.slices ?? 1) - 1;
  state.slice = Math.max(0, Math.min(last, slice));
  stage.setSlice(state.slice);
  showSlice();
}

function setWindow(window: HuWindow): void {
  input('center').value = String(Math.round(window.center));
  input('width').value = String(Math.round(window.width));
  stage.setWindow(window);
  showSlice();
}

async function take(reading: Promise<Study>): Promise<void> {
  const study = await reading;
  performance.mark('aaunet-read');
  state.study = study;
  state.editor = new LabelEditor(study.scan);
  state.done.clear();
  state.isEdited = false;
  await stage.show(study.scan);
  state.slice = Math.floor(study.scan.slices / 2);
  input('slice').max = String(study.scan.slices);
  select('series').replaceChildren(
    ...study.series.map(({ uid, name }) => new Option(name, uid, false, uid === study.seriesUid)),
  );
  box('series-box').hidden = study.series.length < 2;
  showMasks();
  show();
  performance.mark('aaunet-first-image');
  say(`${study.scan.slices} slices open.`);
}

function open(files: readonly NamedBlob[]): void {
  if (files.length === 0 || state.isRunning) return;
  const [first] = files;
  if (files.length === 1 && first?.name.endsWith('.onnx')) {
    attempt(() => loadModel(first.blob));
    return;
  }
  performance.mark('aaunet-drop');
  say('Reading the study …');
  attempt(() => take(reader.call<Study>('open', files)));
}

async function loadModel(blob: Blob): Promise<void> {
  say('Loading the network …');
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const gpu = new URLSearchParams(location.search).get('backend') !== 'wasm';
  state.model = await inference.call<Loaded>('load', { bytes, gpu }, undefined, [bytes.buffer]);
  show();
  say(`Network ${state.model.info.name} ready.`);
}

async function run(): Promise<void> {
  const { study, editor } = state;
  if (!study || !editor) return;
  const total = study.scan.slices;
  const started = performance.now();
  state.isRunning = true;
  state.done.clear();
  input('opacity').dispatchEvent(new Event('input'));
  say(`Looking at ${total} slices.`);
  editor.begin();
  show();
  try {
    const isWhole = await inference.call<boolean>(
      'segment',
      { scan: study.scan, start: state.slice },
      (result: SliceResult) => {
        editor.setSlice(result.slice, result.labels);
        stage.setLabels(editor.data, [result.slice]);
        state.done.add(result.slice);
        const each = (performance.now() - started) / state.done.size / 1000;
        const left = Math.ceil(each * (total - state.done.size));
        element('progress', HTMLProgressElement).value = state.done.size / total;
        box('progress-text').textContent =
          `${state.done.size} of ${total} slices, ${left} s left (${each.toFixed(1)} s a slice)`;
        showFindings();
        showTicks();
      },
    );
    say(isWhole ? `Done: ${total} slices.` : `Cancelled after ${state.done.size} of ${total} slices.`);
  } finally {
    editor.end();
    state.isRunning = false;
    show();
  }
}

function changed(slices: Iterable<number>): void {
  if (!state.editor) return;
  state.isEdited = true;
  stage.setLabels(state.editor.data, slices);
}

function step(direction: 'undo' | 'redo'): void {
  const { editor, study, isRunning } = state;
  if (!editor || !study || isRunning) return;
  editor[direction]();
  changed(Array.from({ length: study.scan.slices }, (_, k) => k));
  show();
}

const notice = (): string =>
  [RESEARCH, ...(state.model?.info.synthetic ? ['The network was trained on synthetic data.'] : [])].join(' ');

async function saveSegmentation(): Promise<void> {
  const { study, editor, model } = state;
  if (!study || !editor) return;
  const maker = {
    algorithm: model?.info.name ?? 'by hand',
    software: 'aaunet viewer',
    weights: model?.info.sha256 ?? 'none',
    notice: notice(),
  };
  const bytes = await reader.call<Uint8Array>('segmentation', { labels: fromCanonical(editor.data, study.map), maker });
  save('segmentation.dcm', bytes, 'application/dicom');
}

function bindActions(): void {
  button('open-folder').addEventListener('click', () => {
    input('folder-input').click();
  });
  button('open-file').addEventListener('click', () => {
    input('file-input').click();
  });
  button('open-model').addEventListener('click', () => {
    input('model-input').click();
  });
  for (const id of ['folder-input', 'file-input', 'model-input']) {
    input(id).addEventListener('change', () => {
      open(chosenFiles(input(id).files));
      input(id).value = '';
    });
  }
  select('series').addEventListener('change', () => {
    attempt(() => take(reader.call<Study>('choose', select('series').value)));
  });
  button('run').addEventListener('click', () => {
    attempt(run);
  });
  button('cancel').addEventListener('click', () => {
    say('Stopping after this slice …');
    attempt(() => inference.call('stop', undefined));
  });
  button('undo').addEventListener('click', () => {
    step('undo');
  });
  button('redo').addEventListener('click', () => {
    step('redo');
  });
  button('save-nifti').addEventListener('click', () => {
    const { study, editor } = state;
    if (study && editor) {
      const labels = fromCanonical(editor.data, study.map);
      save(
        'segmentation.nii.gz',
        writeNiftiGz(labels, { description: 'aaunet, research use only' }),
        'application/gzip',
      );
    }
  });
  button('save-seg').addEventListener('click', () => {
    attempt(saveSegmentation);
  });
  button('save-report').addEventListener('click', () => {
    const { study, editor, model } = state;
    if (!study || !editor) return;
    const picture = stage.picture();
    save(
      'report.html',
      reportPage(study, editor, model?.info, [RESEARCH, ...warnings()], state.isEdited, picture),
      'text/html',
    );
  });
  button('theme').addEventListener('click', () => {
    const root = document.documentElement;
    const isDark = root.dataset['theme']
      ? root.dataset['theme'] === 'dark'
      : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset['theme'] = isDark ? 'light' : 'dark';
  });
}

function bindView(): void {
  onChoice('layout', (layout) => {
    stage.setLayout(layout as Layout);
  });
  onChoice('window', (name) => {
    setWindow(DISPLAY_WINDOWS[name as keyof typeof DISPLAY_WINDOWS]);
  });
  for (const id of ['center', 'width']) {
    input(id).addEventListener('change', () => {
      setWindow({ center: Number(input('center').value), width: Math.max(1, Number(input('width').value)) });
    });
  }
  input('slice').addEventListener('input', () => {
    goTo(Number(input('slice').value) - 1);
  });
  input('opacity').addEventListener('input', showMasks);
  stage.onSlice = (slice) => {
    state.slice = slice;
    showSlice();
  };
  stage.onWindow = (window) => {
    input('center').value = String(Math.round(window.center));
    input('width').value = String(Math.round(window.width));
    showSlice();
  };
  addEventListener('resize', showTicks);
}

function bindDrop(): void {
  const target = box('stage');
  addEventListener('dragover', (event) => {
    event.preventDefault();
    target.classList.add('over');
  });
  addEventListener('dragleave', () => {
    target.classList.remove('over');
  });
  addEventListener('drop', (event) => {
    event.preventDefault();
    target.classList.remove('over');
    const { dataTransfer } = event;
    if (dataTransfer)
      attempt(async () => {
        open(await droppedFiles(dataTransfer));
      });
  });
}

const KEYS: Readonly<Record<string, () => void>> = {
  ArrowUp: () => {
    goTo(state.slice + 1);
  },
  ArrowRight: () => {
    goTo(state.slice + 1);
  },
  PageUp: () => {
    goTo(state.slice + 5);
  },
  ArrowDown: () => {
    goTo(state.slice - 1);
  },
  ArrowLeft: () => {
    goTo(state.slice - 1);
  },
  PageDown: () => {
    goTo(state.slice - 5);
  },
  Home: () => {
    goTo(0);
  },
  End: () => {
    goTo(Infinity);
  },
  1: () => {
    choose('window', 'brain');
  },
  2: () => {
    choose('window', 'subdural');
  },
  3: () => {
    choose('window', 'bone');
  },
  a: () => {
    choose('layout', 'axial');
  },
  p: () => {
    choose('layout', 'planes');
  },
  v: () => {
    choose('layout', 'volume');
  },
  l: () => {
    choose('tool', 'look');
  },
  b: () => {
    choose('tool', 'brush');
  },
  e: () => {
    choose('tool', 'eraser');
  },
  '[': () => {
    input('brush-size').stepDown();
  },
  ']': () => {
    input('brush-size').stepUp();
  },
  m: () => {
    state.hidden = new Set(state.hidden.size > 0 ? [] : LABELS.map(({ id }) => id));
    showMasks();
    showFindings();
  },
};

function bindKeys(): void {
  addEventListener(
    'keydown',
    (event) => {
      const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
      if (event.ctrlKey || event.metaKey) {
        const key = event.key.toLowerCase();
        if (key === 'z' || key === 'y') {
          event.preventDefault();
          step(key === 'y' || event.shiftKey ? 'redo' : 'undo');
        }
        return;
      }
      const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (isTyping || event.altKey || action === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      action();
    },
    { capture: true },
  );
}

async function start(): Promise<void> {
  select('brush-label').replaceChildren(...LABELS.map(({ id, name }) => new Option(name, String(id))));
  bindActions();
  bindView();
  bindDrop();
  bindKeys();
  bindPainting(stage, {
    editor: () => (state.isRunning ? undefined : state.editor),
    pen: () => {
      const tool = choice('tool');
      if (tool === 'look') return undefined;
      const label = tool === 'eraser' ? 0 : Number(select('brush-label').value);
      return { label, radius: Number(input('brush-size').value) / 2 };
    },
    changed: (slice) => {
      changed([slice]);
    },
    ended: show,
  });
  show();
  if (!('serviceWorker' in navigator)) say('This browser keeps no copy of the page for work without a network.');
  else await navigator.serviceWorker.register('service-worker.js').catch(() => undefined);
  try {
    await stage.start();
  } catch {
    throw new Error(
      'This browser offers no WebGL2, which the images need: switch on hardware acceleration or use another browser.',
    );
  }
  const served = await fetch('model.onnx').catch(() => undefined);
  if (served?.ok) await loadModel(await served.blob());
}

attempt(start);
