import { choice } from './elements.js';
import type { Viewer } from './viewer.js';

/** A finger or a button that is held, in CSS pixels. */
interface Held {
  readonly kind: 'scroll' | 'window' | 'pan';
  x: number;
  y: number;
}

const RIGHT = 2;
const MIDDLE = 1;
/** A swipe over the whole height passes all slices of a short study, and two in so many pixels of a long one. */
const LEAST_PIXELS_A_SLICE = 8;
/** Hounsfield units of centre and width for a pixel. */
const HU_A_PIXEL = 1;

/**
 * What mouse and fingers do to slices beside NiiVue's own wheel and click: the right button sets the window, the middle one
 * moves the picture, Ctrl and wheel zoom; a finger scrolls axial slices, two zoom and move.
 */
export function bindGestures(viewer: Viewer): void {
  const { stage } = viewer;
  const { canvas } = stage;
  const held = new Map<number, Held>();

  const kindOf = (event: PointerEvent): Held['kind'] | undefined => {
    if (choice('layout') === 'volume' || viewer.session.study === undefined) return undefined;
    if (event.pointerType === 'touch') {
      return choice('layout') === 'axial' && choice('tool') === 'look' ? 'scroll' : undefined;
    }
    return event.button === RIGHT ? 'window' : event.button === MIDDLE ? 'pan' : undefined;
  };
  const scroll = (finger: Held, event: PointerEvent): void => {
    const { slices } = viewer.session.study!.scan;
    const each = Math.max(LEAST_PIXELS_A_SLICE, canvas.clientHeight / slices);
    const steps = Math.trunc((finger.y - event.clientY) / each);
    if (steps === 0) return;
    finger.y -= steps * each;
    viewer.goBy(steps);
  };
  const adjust = (mouse: Held, event: PointerEvent): void => {
    const { center, width } = viewer.session.window;
    viewer.setWindow({
      center: center + (event.clientY - mouse.y) * HU_A_PIXEL,
      width: Math.max(1, width + (event.clientX - mouse.x) * HU_A_PIXEL),
    });
  };
  /** Two fingers: what is between them stays between them. */
  const pinch = (moved: Held, event: PointerEvent): void => {
    const other = [...held.values()].find((finger) => finger !== moved)!;
    const before = Math.hypot(moved.x - other.x, moved.y - other.y);
    const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
    const from = { clientX: (moved.x + other.x) / 2, clientY: (moved.y + other.y) / 2 };
    const to = { clientX: (event.clientX + other.x) / 2, clientY: (event.clientY + other.y) / 2 };
    stage.pan(from, to);
    if (before > 0) stage.zoom(after / before, to);
  };

  const move = (event: PointerEvent): void => {
    const one = held.get(event.pointerId);
    if (one === undefined) return;
    if (one.kind === 'scroll' && held.size === 1) {
      scroll(one, event);
      return;
    }
    if (one.kind === 'window') adjust(one, event);
    else if (one.kind === 'pan') stage.pan({ clientX: one.x, clientY: one.y }, event);
    else pinch(one, event);
    [one.x, one.y] = [event.clientX, event.clientY];
  };
  const release = (event: PointerEvent): void => {
    held.delete(event.pointerId);
  };
  canvas.addEventListener('pointerdown', (event) => {
    const kind = kindOf(event);
    if (kind === undefined) return;
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, { kind, x: event.clientX, y: event.clientY });
  });
  canvas.addEventListener('pointermove', move);
  canvas.addEventListener('pointerup', release);
  canvas.addEventListener('pointercancel', release);
  const parent = canvas.parentElement!;
  parent.addEventListener('contextmenu', (event) => {
    event.preventDefault();
  });
  // NiiVue listens to mouse and touch, which follow the pointer events; what is held here is not its business.
  for (const name of ['mousedown', 'mousemove', 'touchstart', 'touchmove']) {
    const hold = (event: Event): void => {
      if (held.size === 0) return;
      event.stopImmediatePropagation();
      if (event.cancelable) event.preventDefault();
    };
    parent.addEventListener(name, hold, { capture: true, passive: false });
  }
  const wheel = (event: WheelEvent): void => {
    if (!event.ctrlKey || choice('layout') === 'volume') return;
    event.preventDefault();
    event.stopImmediatePropagation();
    stage.zoom(Math.exp(-event.deltaY / 300), event);
  };
  parent.addEventListener('wheel', wheel, { capture: true, passive: false });
}
