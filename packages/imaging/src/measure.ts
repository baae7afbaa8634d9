import { voxelVolumesMl } from './affine.js';
import { ImagingError } from './imaging-error.js';
import { CLASS_COUNT } from './labels.js';
import { sliceOf } from './slices.js';
import type { Volume } from './volume.js';

/** A volume in mL for people: small ones with more digits, so that no lesion becomes 0. */
export function formatMl(value: number): string {
  if (value >= 0.05 || value === 0) return value.toFixed(1);
  return value >= 0.001 ? value.toFixed(3) : value.toPrecision(1);
}

/** Smallest, largest and mean value of a volume. */
export interface ValueRange {
  readonly min: number;
  readonly max: number;
  readonly mean: number;
}

/** The range of a volume's values, HU of a scan; NaN is left out, and all three are NaN where nothing is left. */
export function valueRange({ data }: Pick<Volume, 'data'>): ValueRange {
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  let count = 0;
  for (const value of data) {
    if (Number.isNaN(value)) continue;
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
    count++;
  }
  return count === 0 ? { min: NaN, max: NaN, mean: NaN } : { min, max, mean: sum / count };
}

/**
 * Volume in mL of each label of a label map, by label number (index 0: background). Uneven slices count with their true
 * extents ({@link voxelVolumesMl}); throws for a label of `classes` or more.
 */
export function labelVolumesMl(labels: Volume<Uint8Array>, classes: number = CLASS_COUNT): Float64Array {
  const perVoxel = voxelVolumesMl(labels);
  const volumes = new Float64Array(classes);
  const counts = new Uint32Array(256);
  for (let k = 0; k < labels.slices; k++) {
    counts.fill(0);
    for (const label of sliceOf(labels, k)) counts[label]!++;
    const foreign = counts.findIndex((count, label) => count > 0 && label >= classes);
    if (foreign >= 0) {
      throw new ImagingError('bad-argument', `Expected labels from 0 to ${classes - 1}, found the label ${foreign}.`);
    }
    for (let label = 0; label < classes; label++) volumes[label]! += counts[label]! * perVoxel[k]!;
  }
  return volumes;
}
