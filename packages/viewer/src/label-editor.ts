import { CLASS_COUNT, LABELS, spacingOf, voxelVolumesMl, type Volume } from '@aaunet/imaging';

import { edited, NOBODY, type Origin } from './origin.js';

/** A place in the scan: canonical column, row, slice. */
export type Voxel = readonly [column: number, row: number, slice: number];

/** A plane of the scan, by the axis that stands on it: 0 sagittal, 1 coronal, 2 axial. */
export type Plane = 0 | 1 | 2;

/** What a step of undo or redo brings back: the slices' labels, and where the masks came from. */
interface Step {
  readonly slices: ReadonlyMap<number, Uint8Array>;
  readonly origin: Origin;
}

/** The label map of a scan with its origin, with brush, undo and redo, and what it measures. */
export class LabelEditor {
  /** Labels in the canonical order of the scan. */
  readonly data: Uint8Array<ArrayBuffer>;
  readonly #counts: Uint32Array;
  readonly #voxelMl: readonly number[] | Float64Array;
  readonly #plane: number;
  /** Pixels of a slice that are as long as a voxel is along each axis. */
  readonly #pixels: Voxel;
  readonly #undo: Step[] = [];
  readonly #redo: Step[] = [];
  #origin: Origin = NOBODY;
  #open: { readonly slices: Map<number, Uint8Array>; readonly origin: Origin } | undefined;

  /** @param mostUndoBytes labels kept for undo; the latest step is kept whatever its size */
  constructor(
    readonly scan: Volume<Int16Array>,
    readonly mostUndoBytes = 2 ** 27,
  ) {
    this.data = new Uint8Array(scan.data.length);
    this.#plane = scan.rows * scan.columns;
    this.#counts = new Uint32Array(scan.slices * CLASS_COUNT);
    this.#voxelMl = voxelVolumesMl(scan);
    const [x, y, z] = spacingOf(scan.affine);
    this.#pixels = [1, y / x, z / x];
  }

  get origin(): Origin {
    return this.#origin;
  }

  get canUndo(): boolean {
    return this.#undo.length > 0;
  }

  get canRedo(): boolean {
    return this.#redo.length > 0;
  }

  /** Voxels of a label in a slice. */
  count(slice: number, label: number): number {
    return this.#counts[slice * CLASS_COUNT + label]!;
  }

  /** Volume of a label in mL, by the slices' true extents. */
  volumeMl(label: number): number {
    let sum = 0;
    for (let k = 0; k < this.scan.slices; k++) sum += this.count(k, label) * this.#voxelMl[k]!;
    return sum;
  }

  /** The slice with most of a label; undefined where there is none of it. */
  fullestSlice(label: number): number | undefined {
    let best: number | undefined;
    for (let k = 0; k < this.scan.slices; k++) {
      if (this.count(k, label) > (best === undefined ? 0 : this.count(best, label))) best = k;
    }
    return best;
  }

  /**
   * Begins a step that is undone as one; one that is open ends.
   *
   * @param origin of masks that take the place of all that were there; without it the step is a correction by hand
   */
  begin(origin?: Origin): void {
    this.end();
    this.#open = { slices: new Map(), origin: this.#origin };
    if (origin === undefined) return;
    this.#origin = origin;
    const empty = new Uint8Array(this.#plane);
    for (let k = 0; k < this.scan.slices; k++) {
      if (LABELS.some(({ id }) => this.count(k, id) > 0)) this.setSlice(k, empty);
    }
  }

  /** Ends the step, and says whether it changed anything: one that did not is forgotten. */
  end(): boolean {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return false;
    const slices = new Map([...open.slices].filter(([k, before]) => !isEqual(before, this.#slice(k))));
    const isReplaced = this.#origin !== open.origin;
    if (slices.size === 0 && !isReplaced) return false;
    if (!isReplaced) this.#origin = edited(this.#origin);
    this.#undo.push({ slices, origin: open.origin });
    this.#redo.length = 0;
    let bytes = this.#undo.reduce((sum, step) => sum + step.slices.size * this.#plane, 0);
    while (bytes > this.mostUndoBytes && this.#undo.length > 1) bytes -= this.#undo.shift()!.slices.size * this.#plane;
    return true;
  }

  /** Takes back the step that is open, as if it had not begun. */
  drop(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) this.#swap(open);
  }

  /** Replaces the labels of a slice. */
  setSlice(slice: number, labels: Uint8Array): void {
    this.#keep(slice);
    this.data.set(labels, slice * this.#plane);
    const counts = this.#counts.subarray(slice * CLASS_COUNT, (slice + 1) * CLASS_COUNT).fill(0);
    for (const label of labels) counts[label]!++;
  }

  /** Replaces the labels of all slices. */
  setAll(labels: Uint8Array): void {
    for (let k = 0; k < this.scan.slices; k++) {
      this.setSlice(k, labels.subarray(k * this.#plane, (k + 1) * this.#plane));
    }
  }

  /**
   * Paints a disc in a plane, or a thick line from the last point of a stroke; label 0 erases.
   *
   * @param radius in pixels of a slice: 0.5 is a single one
   * @returns the slices in which something changed
   */
  paint(plane: Plane, from: Voxel, to: Voxel, radius: number, label: number): Set<number> {
    const changed = new Set<number>();
    const way = to.map((place, axis) => place - from[axis]!);
    const steps = Math.max(1, ...way.map((voxels) => Math.abs(voxels)));
    for (let step = 0; step <= steps; step++) {
      const at = from.map((place, axis) => Math.round(place + (way[axis]! * step) / steps));
      this.#disc(plane, at as unknown as Voxel, radius, label, changed);
    }
    return changed;
  }

  /** Takes the last step back; false where there is none, or one is open. */
  undo(): boolean {
    return this.#move(this.#undo, this.#redo);
  }

  /** Does the last step again that was taken back; false where there is none, or one is open. */
  redo(): boolean {
    return this.#move(this.#redo, this.#undo);
  }

  #move(from: Step[], to: Step[]): boolean {
    const step = this.#open === undefined ? from.pop() : undefined;
    if (step === undefined) return false;
    to.push(this.#swap(step));
    return true;
  }

  /** Brings back what a step keeps; returns what was there instead. */
  #swap({ slices, origin }: Step): Step {
    const now = { slices: new Map([...slices.keys()].map((k) => [k, this.#slice(k).slice()])), origin: this.#origin };
    for (const [k, labels] of slices) this.setSlice(k, labels);
    this.#origin = origin;
    return now;
  }

  #disc(plane: Plane, center: Voxel, radius: number, label: number, changed: Set<number>): void {
    const { columns, rows, slices } = this.scan;
    const size = [columns, rows, slices];
    const reach = this.#pixels.map((pixels, axis) => (axis === plane ? 0 : Math.floor(radius / pixels)));
    const range = (axis: Plane): number[] => {
      const first = Math.max(0, center[axis] - reach[axis]!);
      const last = Math.min(size[axis]! - 1, center[axis] + reach[axis]!);
      return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
    };
    const square = (voxel: number, axis: Plane): number => ((voxel - center[axis]) * this.#pixels[axis]) ** 2;
    for (const k of range(2)) {
      for (const j of range(1)) {
        for (const i of range(0)) {
          if (square(i, 0) + square(j, 1) + square(k, 2) > radius * radius) continue;
          if (this.#set(k, j * columns + i, label)) changed.add(k);
        }
      }
    }
  }

  #slice(slice: number): Uint8Array {
    return this.data.subarray(slice * this.#plane, (slice + 1) * this.#plane);
  }

  /** Keeps what the open step is about to change. */
  #keep(slice: number): void {
    if (this.#open !== undefined && !this.#open.slices.has(slice)) {
      this.#open.slices.set(slice, this.#slice(slice).slice());
    }
  }

  #set(slice: number, pixel: number, label: number): boolean {
    const before = this.data[slice * this.#plane + pixel]!;
    if (before === label) return false;
    this.#keep(slice);
    this.#counts[slice * CLASS_COUNT + before]!--;
    this.#counts[slice * CLASS_COUNT + label]!++;
    this.data[slice * this.#plane + pixel] = label;
    return true;
  }
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
