import { ImagingError } from './imaging-error.js';
import type { Volume, VoxelArray } from './volume.js';

/** Slice k of a volume, [rows, columns]: a view, not a copy. */
export function sliceOf<T extends VoxelArray>(volume: Volume<T>, k: number): T {
  if (!Number.isInteger(k) || k < 0 || k >= volume.slices) {
    throw new ImagingError('bad-argument', `Expected a slice from 0 to ${volume.slices - 1}, found ${k}.`);
  }
  const size = volume.rows * volume.columns;
  return volume.data.subarray(k * size, (k + 1) * size) as T;
}

/**
 * Slices k-1, k, k+1 as [3, rows, columns]: what a network sees to outline slice k. The first and the last slice stand
 * in for the neighbour that they lack.
 *
 * @param out where to write 3 x rows x columns values; a new array where absent
 */
export function stackThree(
  volume: Volume<Int16Array>,
  k: number,
  out: Int16Array = new Int16Array(3 * volume.rows * volume.columns),
): Int16Array {
  const size = volume.rows * volume.columns;
  if (out.length !== 3 * size) {
    throw new ImagingError('bad-argument', `Expected room for ${3 * size} values, found ${out.length}.`);
  }
  const middle = sliceOf(volume, k);
  out.set(sliceOf(volume, Math.max(0, k - 1)));
  out.set(middle, size);
  out.set(sliceOf(volume, Math.min(volume.slices - 1, k + 1)), 2 * size);
  return out;
}
