import { affineColumn, affineFromColumns, flipLpsRas, scale, voxelToPatient, type Vector3 } from './affine.js';
import { ImagingError } from './imaging-error.js';
import { sliceOf } from './slices.js';
import type { Volume, VoxelArray } from './volume.js';

/** In-plane size of a slice. */
export interface PlaneSize {
  readonly rows: number;
  readonly columns: number;
}

/** What one output pixel takes along an axis: input pixels from `first` on, with weights that add up to 1. */
interface Tap {
  readonly first: number;
  readonly weights: readonly number[];
}

/**
 * A slice at another in-plane size: along each axis the area average where it shrinks, linear interpolation between pixel
 * centres where it grows; rounded to whole HU.
 */
export function resizeSlice(source: Int16Array, from: PlaneSize, to: PlaneSize): Int16Array {
  checkSlice(source, from);
  const across = taps(from.columns, to.columns, linearTap);
  const down = taps(from.rows, to.rows, linearTap);
  const narrow = new Float32Array(from.rows * to.columns);
  for (let row = 0; row < from.rows; row++) {
    for (let column = 0; column < to.columns; column++) {
      const { first, weights } = across[column]!;
      let sum = 0;
      for (let t = 0; t < weights.length; t++) sum += source[row * from.columns + first + t]! * weights[t]!;
      narrow[row * to.columns + column] = sum;
    }
  }
  const out = new Int16Array(to.rows * to.columns);
  for (let row = 0; row < to.rows; row++) {
    const { first, weights } = down[row]!;
    for (let column = 0; column < to.columns; column++) {
      let sum = 0;
      for (let t = 0; t < weights.length; t++) sum += narrow[(first + t) * to.columns + column]! * weights[t]!;
      out[row * to.columns + column] = Math.round(sum);
    }
  }
  return out;
}

/**
 * Labels of a slice at another in-plane size: the label with the largest area where it shrinks (of equals a lesion before
 * background, then the lower number), the nearest where it grows.
 */
export function resizeLabelSlice(source: Uint8Array, from: PlaneSize, to: PlaneSize): Uint8Array {
  checkSlice(source, from);
  const across = taps(from.columns, to.columns, nearestTap);
  const down = taps(from.rows, to.rows, nearestTap);
  const out = new Uint8Array(to.rows * to.columns);
  const areas = new Float64Array(256);
  for (let row = 0; row < to.rows; row++) {
    const vertical = down[row]!;
    for (let column = 0; column < to.columns; column++) {
      const horizontal = across[column]!;
      const seen: number[] = [];
      for (let v = 0; v < vertical.weights.length; v++) {
        const start = (vertical.first + v) * from.columns + horizontal.first;
        for (let h = 0; h < horizontal.weights.length; h++) {
          const label = source[start + h]!;
          if (areas[label] === 0) seen.push(label);
          areas[label]! += vertical.weights[v]! * horizontal.weights[h]!;
        }
      }
      out[row * to.columns + column] = largest(seen, areas);
      for (const label of seen) areas[label] = 0;
    }
  }
  return out;
}

/** A scan with every slice resized by {@link resizeSlice}; affine and positions follow, so that voxels stay in place. */
export function resizeVolume(volume: Volume<Int16Array>, to: PlaneSize): Volume<Int16Array> {
  const data = new Int16Array(volume.slices * to.rows * to.columns);
  for (let k = 0; k < volume.slices; k++) {
    data.set(resizeSlice(sliceOf(volume, k), volume, to), k * to.rows * to.columns);
  }
  return { ...resizedGeometry(volume, to), data };
}

/** A label map with every slice resized by {@link resizeLabelSlice}; affine and positions follow. */
export function resizeLabelMap(volume: Volume<Uint8Array>, to: PlaneSize): Volume<Uint8Array> {
  const data = new Uint8Array(volume.slices * to.rows * to.columns);
  for (let k = 0; k < volume.slices; k++) {
    data.set(resizeLabelSlice(sliceOf(volume, k), volume, to), k * to.rows * to.columns);
  }
  return { ...resizedGeometry(volume, to), data };
}

/** A label map made at another in-plane size, at the size and with exactly the geometry of the scan it belongs to. */
export function restoreLabelMap(labels: Volume<Uint8Array>, source: Omit<Volume, 'data'>): Volume<Uint8Array> {
  if (labels.slices !== source.slices) {
    throw new ImagingError('bad-argument', `Expected a label map of ${source.slices} slices, found ${labels.slices}.`);
  }
  const { data } = resizeLabelMap(labels, source);
  const { slices, rows, columns, affine, positions, extents } = source;
  return { data, slices, rows, columns, affine, ...(positions && { positions }), ...(extents && { extents }) };
}

function resizedGeometry(volume: Volume, to: PlaneSize): Omit<Volume, 'data'> {
  const { affine, slices, positions, extents } = volume;
  const wide = volume.columns / to.columns;
  const high = volume.rows / to.rows;
  // The new first voxel's centre in old voxel indices: borders stay where they are, centres move.
  const origin = voxelToPatient(affine, (wide - 1) / 2, (high - 1) / 2, 0);
  const old = affineColumn(affine, 3);
  const shift = flipLpsRas([origin[0] - old[0], origin[1] - old[1], origin[2] - old[2]]);
  const [i, j, k] = [affineColumn(affine, 0), affineColumn(affine, 1), affineColumn(affine, 2)];
  return {
    slices,
    rows: to.rows,
    columns: to.columns,
    affine: affineFromColumns(scale(i, wide), scale(j, high), k, origin),
    ...(positions && { positions: positions.map(([x, y, z]): Vector3 => [x + shift[0], y + shift[1], z + shift[2]]) }),
    ...(extents && { extents }),
  };
}

function taps(from: number, to: number, growing: (place: number, from: number) => Tap): readonly Tap[] {
  const ratio = from / to;
  return Array.from({ length: to }, (_, index): Tap => {
    if (ratio <= 1) return growing((index + 0.5) * ratio - 0.5, from);
    const start = index * ratio;
    const end = (index + 1) * ratio;
    const first = Math.floor(start + 1e-9);
    const last = Math.min(from, Math.ceil(end - 1e-9));
    const weights = Array.from({ length: last - first }, (_unused, t) => {
      const pixel = first + t;
      return (Math.min(end, pixel + 1) - Math.max(start, pixel)) / ratio;
    });
    return { first, weights };
  });
}

function linearTap(place: number, from: number): Tap {
  const low = Math.floor(place);
  const fraction = place - low;
  if (low < 0) return { first: 0, weights: [1] };
  if (low >= from - 1 || fraction === 0) return { first: Math.min(low, from - 1), weights: [1] };
  return { first: low, weights: [1 - fraction, fraction] };
}

function nearestTap(place: number, from: number): Tap {
  return { first: Math.min(from - 1, Math.max(0, Math.round(place))), weights: [1] };
}

function largest(labels: readonly number[], areas: Float64Array): number {
  let best = labels[0]!;
  for (const label of labels) {
    const difference = areas[label]! - areas[best]!;
    // Areas are sums of rounded parts: equals are equal to rounding.
    if (difference > 1e-9 || (difference > -1e-9 && (best === 0 || (label !== 0 && label < best)))) best = label;
  }
  return best;
}

function checkSlice(source: VoxelArray, { rows, columns }: PlaneSize): void {
  if (source.length !== rows * columns) {
    throw new ImagingError(
      'bad-argument',
      `Expected a slice of ${rows} x ${columns} pixels, found ${source.length} values.`,
    );
  }
}
