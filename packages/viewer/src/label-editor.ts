import { CLASS_COUNT, voxelVolumesMl, type Volume } from '@aaunet/imaging';

/** A change of some voxels, which can be taken back. */
interface Change {
  readonly voxels: Uint32Array;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

const MOST_CHANGES = 200;

/** The label map of a scan, with brush, undo and redo, and what it measures. */
export class LabelEditor {
  /** Labels in the canonical order of the scan. */
  readonly data: Uint8Array<ArrayBuffer>;
  readonly #counts: Uint32Array;
  readonly #voxelMl: readonly number[] | Float64Array;
  readonly #plane: number;
  readonly #undo: Change[] = [];
  readonly #redo: Change[] = [];
  #open: Map<number, number> | undefined;

  constructor(readonly scan: Volume<Int16Array>) {
    this.data = new Uint8Array(scan.data.length);
    this.#plane = scan.rows * scan.columns;
    this.#counts = new Uint32Array(scan.slices * CLASS_COUNT);
    this.#voxelMl = voxelVolumesMl(scan);
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

  /** Begins a step that is undone as one: a stroke, or a run of the network. */
  begin(): void {
    this.#open = new Map();
  }

  /** Ends the step; one that changed nothing is forgotten. */
  end(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    const changed = [...open].filter(([voxel, before]) => this.data[voxel] !== before);
    if (changed.length === 0) return;
    const voxels = Uint32Array.from(changed, ([voxel]) => voxel);
    const before = Uint8Array.from(changed, ([, label]) => label);
    this.#undo.push({ voxels, before, after: Uint8Array.from(voxels, (voxel) => this.data[voxel]!) });
    if (this.#undo.length > MOST_CHANGES) this.#undo.shift();
    this.#redo.length = 0;
  }

  /** Replaces the labels of a slice. */
  setSlice(slice: number, labels: Uint8Array): void {
    const start = slice * this.#plane;
    for (let index = 0; index < labels.length; index++) this.#set(start + index, labels[index]!);
  }

  /** Replaces the labels of all slices. */
  setAll(labels: Uint8Array): void {
    for (let k = 0; k < this.scan.slices; k++) {
      this.setSlice(k, labels.subarray(k * this.#plane, (k + 1) * this.#plane));
    }
  }

  /**
   * Paints a disc in a slice, or a thick line from the last point of a stroke; label 0 erases.
   *
   * @param radius in pixels: 0.5 is a single one
   */
  paint(
    slice: number,
    from: readonly [number, number],
    to: readonly [number, number],
    radius: number,
    label: number,
  ): void {
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1])));
    for (let step = 0; step <= steps; step++) {
      const share = step / steps;
      this.#disc(slice, from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share, radius, label);
    }
  }

  undo(): void {
    const change = this.#undo.pop();
    if (change === undefined) return;
    this.#apply(change.voxels, change.before);
    this.#redo.push(change);
  }

  redo(): void {
    const change = this.#redo.pop();
    if (change === undefined) return;
    this.#apply(change.voxels, change.after);
    this.#undo.push(change);
  }

  #disc(slice: number, x: number, y: number, radius: number, label: number): void {
    const { rows, columns } = this.scan;
    for (let row = Math.max(0, Math.ceil(y - radius)); row <= Math.min(rows - 1, Math.floor(y + radius)); row++) {
      for (
        let column = Math.max(0, Math.ceil(x - radius));
        column <= Math.min(columns - 1, Math.floor(x + radius));
        column++
      ) {
        if ((column - x) ** 2 + (row - y) ** 2 <= radius * radius) {
          this.#set(slice * this.#plane + row * columns + column, label);
        }
      }
    }
  }

  #apply(voxels: Uint32Array, labels: Uint8Array): void {
    for (let index = 0; index < voxels.length; index++) this.#set(voxels[index]!, labels[index]!);
  }

  #set(voxel: number, label: number): void {
    const before = this.data[voxel]!;
    if (before === label) return;
    if (this.#open !== undefined && !this.#open.has(voxel)) this.#open.set(voxel, before);
    const slice = Math.floor(voxel / this.#plane) * CLASS_COUNT;
    this.#counts[slice + before]!--;
    this.#counts[slice + label]!++;
    this.data[voxel] = label;
  }
}
