import { DISPLAY_WINDOWS, LABELS } from '@aaunet/imaging';

import { chosenFiles, droppedFiles } from './dropped-files.js';
import { box, button, input, onChoice, select } from './elements.js';
import { bindFindings } from './findings-view.js';
import { attempt } from './messages.js';
import { hasUnsavedCorrections, type Layout } from './session.js';
import type { Viewer } from './viewer.js';

const onClick = (id: string, action: () => void): void => {
  button(id).addEventListener('click', action);
};

function bindFiles(viewer: Viewer): void {
  for (const [shown, id] of [
    ['open-folder', 'folder-input'],
    ['open-file', 'file-input'],
    ['open-model', 'model-input'],
  ] as const) {
    onClick(shown, () => {
      input(id).click();
    });
    input(id).addEventListener('change', () => {
      const files = chosenFiles(input(id).files);
      viewer.open(files);
      input(id).value = '';
    });
  }
  select('series').addEventListener('change', () => {
    viewer.choose(select('series').value);
  });
  onClick('save-nifti', () => {
    viewer.saveNifti();
  });
  onClick('save-seg', () => {
    viewer.saveSegmentation();
  });
  onClick('save-report', () => {
    viewer.saveReport();
  });
  addEventListener('beforeunload', (event) => {
    if (hasUnsavedCorrections(viewer.session)) event.preventDefault();
  });
}

function bindDrop(viewer: Viewer): void {
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
        viewer.open(await droppedFiles(dataTransfer));
      });
  });
}

function bindView(viewer: Viewer): void {
  const { stage } = viewer;
  onChoice('layout', (layout) => {
    viewer.setLayout(layout as Layout);
  });
  onChoice('window', (name) => {
    viewer.setWindow(DISPLAY_WINDOWS[name as keyof typeof DISPLAY_WINDOWS]);
  });
  for (const id of ['center', 'width']) {
    input(id).addEventListener('change', () => {
      const [center, width] = [input('center').valueAsNumber, input('width').valueAsNumber];
      const { window } = viewer.session;
      viewer.setWindow({
        center: Number.isNaN(center) ? window.center : center,
        width: Number.isNaN(width) ? window.width : Math.max(1, width),
      });
    });
  }
  input('slice').addEventListener('input', () => {
    viewer.goTo(Number(input('slice').value) - 1);
  });
  input('opacity').addEventListener('input', () => {
    viewer.setMasks({ opacity: Number(input('opacity').value) / 100 });
  });
  onClick('zoom-in', () => {
    stage.zoom(1.25);
  });
  onClick('zoom-out', () => {
    stage.zoom(0.8);
  });
  onClick('fit', () => {
    stage.fit();
  });
  addEventListener('resize', () => {
    viewer.show();
  });
  bindFindings(() => viewer.session, {
    goTo: (slice) => {
      viewer.goTo(slice);
    },
    toggleType: (id, isShown) => {
      viewer.toggleType(id, isShown);
    },
  });
  onClick('theme', () => {
    const root = document.documentElement;
    const isDark = root.dataset['theme']
      ? root.dataset['theme'] === 'dark'
      : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset['theme'] = isDark ? 'light' : 'dark';
  });
}

/** After a click on a choice the keys are the images' again; who goes there with the keyboard stays. */
function bindFocus({ stage }: Viewer): void {
  box('tools').addEventListener('click', ({ target, detail }) => {
    if (detail > 0 && target instanceof HTMLInputElement && target.type === 'radio')
      stage.canvas.focus({ preventScroll: true });
  });
}

function bindMasks(viewer: Viewer): void {
  onClick('run', () => {
    viewer.run();
  });
  onClick('cancel', () => {
    viewer.cancel();
  });
  onClick('undo', () => {
    viewer.step('undo');
  });
  onClick('redo', () => {
    viewer.step('redo');
  });
  select('brush-label').replaceChildren(...LABELS.map(({ id, name }) => new Option(name, String(id))));
}

/** Lets the page's buttons, lists, sliders and drops reach the viewer. */
export function bindControls(viewer: Viewer): void {
  bindFiles(viewer);
  bindDrop(viewer);
  bindView(viewer);
  bindMasks(viewer);
  bindFocus(viewer);
}
