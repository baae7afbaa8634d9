import {
  affineColumn,
  affineFromColumns,
  flipLpsRas,
  scale,
  spacingOf,
  voxelToPatient,
  type Vector3,
} from './affine.js';
import { ImagingError } from './imaging-error.js';
import { resampleLabelSlice, resampleSlice, type AxisScale, type PlaneScale } from './resample.js';
import { sliceOf } from './slices.js';
import type { Volume } from './volume.js';

/**
 * How slices that are not square become a network's square input: `pad` puts air around them, so that heads keep their
 * shape; `stretch` pulls them to a square, which networks trained
 * by earlier versions expect.
 */
export const SQUARE_FITS = ['pad', 'stretch'] as const;
export type SquareFit = (typeof SQUARE_FITS)[number];

type Geometry = Omit<Volume, 'data'>;

/** A square of pixels around a slice, or the slice itself, and where in it the slice begins. */
interface Frame {
  readonly rows: number;
  readonly columns: number;
  readonly top: number;
  readonly left: number;
}

/** Pixels whose sides differ by less count as square: a frame that is one pixel wider would blur the whole scan. */
const SQUARE_PIXEL = 0.01;

/** The frame that is as wide as it is high in mm, the slice in its middle. */
function frameOf({ rows, columns, affine }: Geometry, fit: SquareFit): Frame {
  if (fit === 'stretch') return { rows, columns, top: 0, left: 0 };
  const [columnMm, rowMm] = spacingOf(affine);
  const aspect = Math.abs(columnMm / rowMm - 1) < SQUARE_PIXEL ? 1 : columnMm / rowMm;
  const high = Math.max(rows, Math.round(columns * aspect));
  const wide = Math.max(columns, Math.round(rows / aspect));
  return { rows: high, columns: wide, top: Math.floor((high - rows) / 2), left: Math.floor((wide - columns) / 2) };
}

const reversed = ({ from, to, source, out }: AxisScale): AxisScale => ({
  from: to,
  to: from,
  source: out,
  out: source,
});

/**
 * The way of a scan's slices into a network's square of `size` x `size` pixels and of what the network says back to the scan:
 * the one place where either is done.
 */
export class SquarePlane {
  private readonly frame: Frame;
  private readonly into: PlaneScale;
  private readonly back: PlaneScale;
  private readonly isIdentity: boolean;

  /** @throws ImagingError if the scan has no pixels or its spacing is no length. */
  constructor(
    private readonly source: Geometry,
    readonly size: number,
    readonly fit: SquareFit,
  ) {
    const { rows, columns } = source;
    const frame = frameOf(source, fit);
    if (!(rows > 0 && columns > 0 && Number.isSafeInteger(frame.rows) && Number.isSafeInteger(frame.columns))) {
      const spacing = spacingOf(source.affine).slice(0, 2).join(' x ');
      throw new ImagingError(
        'bad-argument',
        `Expected slices with pixels of some size, found ${rows} x ${columns} pixels of ${spacing} mm.`,
      );
    }
    this.frame = frame;
    const whole = { first: 0, count: size };
    const down = { from: frame.rows, to: size, source: { first: frame.top, count: rows }, out: whole };
    const across = { from: frame.columns, to: size, source: { first: frame.left, count: columns }, out: whole };
    this.into = { down, across };
    this.back = { down: reversed(down), across: reversed(across) };
    this.isIdentity = rows === size && columns === size && frame.rows === size && frame.columns === size;
  }

  /** The scan as the network sees it; where it has that size already, the very same voxels. */
  scan(volume: Volume<Int16Array>): Volume<Int16Array> {
    this.check(volume);
    if (this.isIdentity) return volume;
    const data = new Int16Array(volume.slices * this.size ** 2);
    for (let k = 0; k < volume.slices; k++) {
      data.set(resampleSlice(sliceOf(volume, k), this.into), k * this.size ** 2);
    }
    return { ...this.geometry, data };
  }

  /** A label map of the scan as the network should answer it. */
  labelMap(volume: Volume<Uint8Array>): Volume<Uint8Array> {
    this.check(volume);
    if (this.isIdentity) return volume;
    const data = new Uint8Array(volume.slices * this.size ** 2);
    for (let k = 0; k < volume.slices; k++) {
      data.set(resampleLabelSlice(sliceOf(volume, k), this.into), k * this.size ** 2);
    }
    return { ...this.geometry, data };
  }

  /** Labels of one slice, [size, size], at the scan's own size, [rows, columns]. */
  sourceLabels(labels: Uint8Array): Uint8Array {
    return this.isIdentity ? labels : resampleLabelSlice(labels, this.back);
  }

  /** Values of one slice (probabilities in whole steps, say), [size, size], at the scan's own size, [rows, columns]. */
  sourceValues(values: Int16Array): Int16Array {
    return this.isIdentity ? values : resampleSlice(values, this.back);
  }

  /** A label map of [slices, size, size] at the size and with exactly the geometry of the scan. */
  sourceLabelMap(labels: Uint8Array): Volume<Uint8Array> {
    const { slices, rows, columns, affine, positions, extents } = this.source;
    const square = this.size ** 2;
    if (labels.length !== slices * square) {
      throw new ImagingError(
        'bad-argument',
        `Expected a label map of ${slices} x ${this.size} x ${this.size} voxels, found ${labels.length}.`,
      );
    }
    const data = new Uint8Array(slices * rows * columns);
    for (let k = 0; k < slices; k++) {
      data.set(this.sourceLabels(labels.subarray(k * square, (k + 1) * square)), k * rows * columns);
    }
    return { data, slices, rows, columns, affine, ...(positions && { positions }), ...(extents && { extents }) };
  }

  /** Where the square's voxels lie: nothing moves in the patient. */
  get geometry(): Geometry {
    const { affine, slices, positions, extents } = this.source;
    const { rows, columns, top, left } = this.frame;
    const [wide, high] = [columns / this.size, rows / this.size];
    // The square's first voxel centre in the scan's voxel indices: borders stay where they are, centres move.
    const origin = voxelToPatient(affine, (wide - 1) / 2 - left, (high - 1) / 2 - top, 0);
    const old = affineColumn(affine, 3);
    const shift = flipLpsRas([origin[0] - old[0], origin[1] - old[1], origin[2] - old[2]]);
    const [i, j, k] = [affineColumn(affine, 0), affineColumn(affine, 1), affineColumn(affine, 2)];
    return {
      slices,
      rows: this.size,
      columns: this.size,
      affine: affineFromColumns(scale(i, wide), scale(j, high), k, origin),
      ...(positions && {
        positions: positions.map(([x, y, z]): Vector3 => [x + shift[0], y + shift[1], z + shift[2]]),
      }),
      ...(extents && { extents }),
    };
  }

  private check({ slices, rows, columns }: Geometry): void {
    const wanted = this.source;
    if (slices === wanted.slices && rows === wanted.rows && columns === wanted.columns) return;
    throw new ImagingError(
      'bad-argument',
      `Expected ${wanted.slices} x ${wanted.rows} x ${wanted.columns} voxels, found ${slices} x ${rows} x ${columns}.`,
    );
  }
}
