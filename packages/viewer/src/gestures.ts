import { choice, input, select } from './elements.js';
import type { Target } from './stage.js';
import type { Pen, Viewer } from './viewer.js';

/** What a finger or a button that is held does, and where it is in CSS pixels. */
interface Held {
  kind: 'place' | 'paint' | 'scroll' | 'turn' | 'window' | 'pan' | 'pinch';
  x: number;
  y: number;
}

const LEFT = 0;
const MIDDLE = 1;
const RIGHT = 2;
/** A swipe over the whole height passes all slices of a short study, and two in so many pixels of a long one. */
const LEAST_PIXELS_A_SLICE = 8;
/** Hounsfield units of centre and width for a pixel. */
const HU_A_PIXEL = 1;

/** The brush or eraser that is taken; undefined where the pointer only looks. */
function pen(): Pen | undefined {
  const tool = choice('tool');
  if (tool === 'look') return undefined;
  const label = tool === 'eraser' ? 0 : Number(select('brush-label').value);
  return { label, radius: Number(input('brush-size').value) / 2 };
}

/**
 * All that mouse, pen and fingers do on the images. The left button and one finger paint where a brush is taken; else they turn
 * the head, or go to the place under them, and a finger scrolls axial slices. The right button sets the window, the middle one
 * moves the picture, the wheel scrolls and with Ctrl zooms. Two fingers zoom and move whatever the tool.
 */
export function bindGestures(viewer: Viewer): void {
  const { stage } = viewer;
  const { canvas } = stage;
  const held = new Map<number, Held>();
  /** Where the stroke or the place was last, in the plane where it began. */
  let last: Target | undefined;

  const kindOf = ({ pointerType, button }: PointerEvent): Held['kind'] | undefined => {
    const { layout } = viewer.session;
    if (button === LEFT) {
      if (layout === 'volume') return 'turn';
      if (pen() !== undefined && viewer.beginStroke()) return 'paint';
      return pointerType === 'touch' && layout === 'axial' ? 'scroll' : 'place';
    }
    if (layout === 'volume') return undefined;
    return button === RIGHT ? 'window' : button === MIDDLE ? 'pan' : undefined;
  };

  /** Paints, or goes, to what is under a pointer, if it still is in the plane where that began. */
  const follow = (kind: 'paint' | 'place', event: PointerEvent): void => {
    const target = stage.targetAt(event);
    if (target === undefined || (last !== undefined && target.plane !== last.plane)) return;
    if (kind === 'place') stage.place(event);
    else {
      const { plane, voxel } = target;
      if (last !== undefined && voxel[plane] !== last.voxel[plane]) return;
      const brush = pen();
      if (brush) viewer.paint(plane, last?.voxel ?? voxel, voxel, brush);
    }
    last = target;
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
    const other = [...held.values()].find((finger) => finger !== moved);
    if (other === undefined) return;
    const before = Math.hypot(moved.x - other.x, moved.y - other.y);
    const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
    const from = { clientX: (moved.x + other.x) / 2, clientY: (moved.y + other.y) / 2 };
    const to = { clientX: (event.clientX + other.x) / 2, clientY: (event.clientY + other.y) / 2 };
    stage.pan(from, to);
    if (before > 0) stage.zoom(after / before, to);
  };

  const press = (event: PointerEvent): void => {
    // Keys are the images' from here on, and no control's.
    canvas.focus({ preventScroll: true });
    if (viewer.session.study === undefined) return;
    const [first] = held.values();
    if (first !== undefined) {
      if (event.pointerType !== 'touch' || held.size > 1) return;
      if (first.kind === 'paint') viewer.dropStroke();
      first.kind = 'pinch';
    }
    const kind = first ? 'pinch' : kindOf(event);
    if (kind === undefined) return;
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, { kind, x: event.clientX, y: event.clientY });
    last = undefined;
    if (kind === 'paint' || kind === 'place') follow(kind, event);
  };
  const move = (event: PointerEvent): void => {
    const one = held.get(event.pointerId);
    if (one === undefined) return;
    if (one.kind === 'scroll') {
      scroll(one, event);
      return;
    }
    if (one.kind === 'paint' || one.kind === 'place') follow(one.kind, event);
    else if (one.kind === 'window') adjust(one, event);
    else if (one.kind === 'turn') stage.turn(event.clientX - one.x, event.clientY - one.y);
    else if (one.kind === 'pan') stage.pan({ clientX: one.x, clientY: one.y }, event);
    else pinch(one, event);
    [one.x, one.y] = [event.clientX, event.clientY];
  };
  const release = (event: PointerEvent): void => {
    if (held.get(event.pointerId)?.kind === 'paint') viewer.endStroke();
    held.delete(event.pointerId);
  };
  canvas.addEventListener('pointerdown', press);
  canvas.addEventListener('pointermove', move);
  canvas.addEventListener('pointerup', release);
  canvas.addEventListener('pointercancel', release);
  // What browsers do by themselves: to scroll with the middle button, to select, and a menu.
  for (const name of ['mousedown', 'contextmenu']) {
    canvas.addEventListener(name, (event) => {
      event.preventDefault();
    });
  }
  const wheel = (event: WheelEvent): void => {
    event.preventDefault();
    if (viewer.session.study === undefined) return;
    if (event.ctrlKey || viewer.session.layout === 'volume') stage.zoom(Math.exp(-event.deltaY / 300), event);
    else stage.wheel(event);
  };
  canvas.addEventListener('wheel', wheel, { passive: false });
}
