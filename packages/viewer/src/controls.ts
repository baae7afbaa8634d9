import { DISPLAY_WINDOWS, LABELS } from '@aaunet/imaging';

import { chosenFiles, droppedFiles } from './dropped-files.js';
import { box, button, choice, input, onChoice, select } from './elements.js';
import { bindFindings } from './findings-view.js';
import { attempt } from './messages.js';
import { bindPainting } from './painting.js';
import type { Layout } from './stage.js';
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
      if (mayLeave(viewer)) viewer.open(files);
      input(id).value = '';
    });
  }
  select('series').addEventListener('change', () => {
    if (mayLeave(viewer)) viewer.choose(select('series').value);
    else viewer.show();
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
    if (viewer.session.isEdited && viewer.session.isUnsaved) event.preventDefault();
  });
}

/** Asks before corrections would be lost that no file has. */
function mayLeave({ session: { isEdited, isUnsaved } }: Viewer): boolean {
  return !(isEdited && isUnsaved) || confirm('Corrections have not been saved and would be lost. Go on?');
}

function bindDrop(viewer: Viewer): void {
  const target = box('stage');
  // NiiVue lets no drop on its canvas pass, so it must not see any.
  const listen = (name: 'dragover' | 'drop', listener: (event: DragEvent) => void): void => {
    const first = (event: DragEvent): void => {
      event.preventDefault();
      event.stopImmediatePropagation();
      listener(event);
    };
    addEventListener(name, first, { capture: true });
  };
  listen('dragover', () => {
    target.classList.add('over');
  });
  addEventListener('dragleave', () => {
    target.classList.remove('over');
  });
  listen('drop', ({ dataTransfer }) => {
    target.classList.remove('over');
    if (dataTransfer)
      attempt(async () => {
        const files = await droppedFiles(dataTransfer);
        if (mayLeave(viewer)) viewer.open(files);
      });
  });
}

function bindView(viewer: Viewer): void {
  const { stage } = viewer;
  onChoice('layout', (layout) => {
    stage.setLayout(layout as Layout);
  });
  onChoice('window', (name) => {
    viewer.setWindow(DISPLAY_WINDOWS[name as keyof typeof DISPLAY_WINDOWS]);
  });
  for (const id of ['center', 'width']) {
    input(id).addEventListener('change', () => {
      viewer.setWindow({ center: Number(input('center').value), width: Math.max(1, Number(input('width').value)) });
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
  stage.onSlice = (slice) => {
    viewer.wentTo(slice);
  };
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
  bindPainting(viewer.stage, {
    editor: () => viewer.editable,
    pen: () => {
      const tool = choice('tool');
      if (tool === 'look') return undefined;
      const label = tool === 'eraser' ? 0 : Number(select('brush-label').value);
      return { label, radius: Number(input('brush-size').value) / 2 };
    },
    changed: (slice) => {
      viewer.painted(slice);
    },
    ended: () => {
      viewer.show();
    },
  });
}

/** Lets the page's buttons, lists, sliders and drops reach the viewer. */
export function bindControls(viewer: Viewer): void {
  bindFiles(viewer);
  bindDrop(viewer);
  bindView(viewer);
  bindMasks(viewer);
}
