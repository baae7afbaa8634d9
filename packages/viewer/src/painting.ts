import type { LabelEditor } from './label-editor.js';
import type { Stage } from './stage.js';

/** What painting needs to know, and whom it tells. */
export interface Painting {
  readonly editor: () => LabelEditor | undefined;
  /** Label and radius in pixels; undefined where the pointer only looks. */
  readonly pen: () => { readonly label: number; readonly radius: number } | undefined;
  readonly changed: (slice: number) => void;
  readonly ended: () => void;
}

/** Lets mouse, pen and finger paint in the slices; where no brush is taken, NiiVue has the pointer. */
export function bindPainting(stage: Stage, { editor, pen, changed, ended }: Painting): void {
  const { canvas } = stage;
  let last: readonly [number, number] | undefined;
  let slice = 0;
  const paint = (event: PointerEvent): void => {
    const voxel = stage.voxelAt(event);
    const brush = pen();
    if (voxel === undefined || brush === undefined || (last !== undefined && voxel[2] !== slice)) return;
    const point = [voxel[0], voxel[1]] as const;
    slice = voxel[2];
    editor()?.paint(slice, last ?? point, point, brush.radius, brush.label);
    last = point;
    changed(slice);
  };
  const begin = (event: PointerEvent): void => {
    if (pen() === undefined || editor() === undefined || event.button !== 0 || !event.isPrimary) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    editor()?.begin();
    last = undefined;
    paint(event);
    canvas.addEventListener('pointermove', paint);
    const end = (): void => {
      canvas.removeEventListener('pointermove', paint);
      canvas.removeEventListener('pointerup', end);
      canvas.removeEventListener('pointercancel', end);
      editor()?.end();
      ended();
    };
    canvas.addEventListener('pointerup', end);
    canvas.addEventListener('pointercancel', end);
  };
  canvas.addEventListener('pointerdown', begin, { capture: true });
  // NiiVue listens to mouse and touch, too, which follow the pointer events.
  for (const name of ['mousedown', 'mousemove', 'touchstart', 'touchmove']) {
    const hold = (event: Event): void => {
      if (pen() === undefined || (event instanceof MouseEvent && event.button !== 0)) return;
      event.stopImmediatePropagation();
    };
    canvas.parentElement?.addEventListener(name, hold, { capture: true });
  }
}
