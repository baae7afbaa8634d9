import { choose, input } from './elements.js';
import type { Viewer } from './viewer.js';

/** What keys do, by KeyboardEvent.key. */
function keysOf(viewer: Viewer): Readonly<Record<string, () => void>> {
  const { stage } = viewer;
  const by = (slices: number) => () => {
    viewer.goBy(slices);
  };
  const chosen = (name: string, value: string) => () => {
    choose(name, value);
  };
  const brush = (direction: 'stepUp' | 'stepDown') => () => {
    input('brush-size')[direction]();
  };
  return {
    ArrowUp: by(1),
    ArrowRight: by(1),
    PageUp: by(5),
    ArrowDown: by(-1),
    ArrowLeft: by(-1),
    PageDown: by(-5),
    Home: by(-Infinity),
    End: by(Infinity),
    1: chosen('window', 'brain'),
    2: chosen('window', 'subdural'),
    3: chosen('window', 'bone'),
    a: chosen('layout', 'axial'),
    p: chosen('layout', 'planes'),
    v: chosen('layout', 'volume'),
    l: chosen('tool', 'look'),
    b: chosen('tool', 'brush'),
    e: chosen('tool', 'eraser'),
    '[': brush('stepDown'),
    ']': brush('stepUp'),
    '+': () => {
      stage.zoom(1.25);
    },
    '-': () => {
      stage.zoom(0.8);
    },
    0: () => {
      stage.fit();
    },
    m: () => {
      viewer.toggleAll();
    },
  };
}

/** Whether a control has a use of its own for a key: text and lists for all, sliders and radio buttons for arrows and the like. */
function isOfControl(target: EventTarget | null, key: string): boolean {
  if (target instanceof HTMLSelectElement) return true;
  if (!(target instanceof HTMLInputElement) || target.type === 'checkbox') return false;
  return key.length > 1 || !['range', 'radio'].includes(target.type);
}

export function bindKeys(viewer: Viewer): void {
  const keys = keysOf(viewer);
  addEventListener('keydown', (event) => {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.altKey || isOfControl(event.target, key)) return;
    if (event.ctrlKey || event.metaKey) {
      if (key !== 'z' && key !== 'y') return;
      event.preventDefault();
      viewer.step(key === 'y' || event.shiftKey ? 'redo' : 'undo');
      return;
    }
    const action = keys[key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  });
}
