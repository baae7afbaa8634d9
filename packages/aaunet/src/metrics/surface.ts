import { affineColumn, flipLpsRas, type Volume } from '@aaunet/imaging';

import { quantileOfSorted } from './bootstrap.js';
import type { EmptyConvention } from './dice.js';
import { NearestPoints } from './nearest.js';

/** Where a volume's voxels lie. */
export type Geometry = Omit<Volume, 'data'>;

/**
 * What HD95 is where one of two masks is empty: no number, or the scan's diagonal, the largest distance that could be.
 * NSD is 0 there under either.
 */
export type MissedConvention = 'nan' | 'diagonal';

/** Distances between the borders of two masks. */
export interface SurfaceScores {
  /** Normalised surface distance: the part of both borders within the tolerance of the other, by tolerance in mm. */
  readonly nsd: readonly number[];
  /** Larger of the two 95th percentiles of the distances from one border to the other, mm. */
  readonly hd95: number;
}

export interface SurfaceOptions {
  /** mm; 1 and 2. */
  readonly tolerances?: readonly number[] | undefined;
  readonly empty?: EmptyConvention | undefined;
  readonly missed?: MissedConvention | undefined;
}

/** Places (RAS+, mm) of the slices' first voxels, where uneven the true ones. */
function sliceOrigins({ affine, positions, slices }: Geometry): (readonly [number, number, number])[] {
  if (positions) return positions.map(flipLpsRas);
  const [origin, step] = [affineColumn(affine, 3), affineColumn(affine, 2)];
  return Array.from({ length: slices }, (_, k) => [
    origin[0] + k * step[0],
    origin[1] + k * step[1],
    origin[2] + k * step[2],
  ]);
}

/**
 * Centres (x, y, z in mm) of a mask's border voxels: those with one of their six face neighbours outside the mask or the
 * volume, which is the mask less its erosion.
 */
export function borderPoints(mask: Uint8Array, geometry: Geometry): Float64Array {
  const { slices, rows, columns, affine } = geometry;
  const plane = rows * columns;
  if (mask.length !== slices * plane) {
    throw new Error(`Expected a mask of ${slices} x ${rows} x ${columns} voxels, found ${mask.length}.`);
  }
  const origins = sliceOrigins(geometry);
  const [across, down] = [affineColumn(affine, 0), affineColumn(affine, 1)];
  const points: number[] = [];
  for (let k = 0; k < slices; k++) {
    const [x, y, z] = origins[k]!;
    for (let j = 0; j < rows; j++) {
      for (let i = 0; i < columns; i++) {
        const at = k * plane + j * columns + i;
        if (mask[at] === 0) continue;
        const isInner =
          i > 0 &&
          i < columns - 1 &&
          j > 0 &&
          j < rows - 1 &&
          k > 0 &&
          k < slices - 1 &&
          mask[at - 1] !== 0 &&
          mask[at + 1] !== 0 &&
          mask[at - columns] !== 0 &&
          mask[at + columns] !== 0 &&
          mask[at - plane] !== 0 &&
          mask[at + plane] !== 0;
        if (isInner) continue;
        points.push(x + i * across[0] + j * down[0], y + i * across[1] + j * down[1], z + i * across[2] + j * down[2]);
      }
    }
  }
  return Float64Array.from(points);
}

/** Distance in mm from each of some points to the nearest of others, in ascending order. */
function sortedDistances(from: Float64Array, to: NearestPoints): Float64Array {
  const distances = new Float64Array(from.length / 3);
  for (let index = 0; index < distances.length; index++) {
    distances[index] = Math.sqrt(to.squaredDistance(from[3 * index]!, from[3 * index + 1]!, from[3 * index + 2]!));
  }
  return distances.sort();
}

/** Length in mm of the volume's diagonal from the first voxel's centre to the last one's. */
function diagonalMm(geometry: Geometry): number {
  const { rows, columns, slices, affine } = geometry;
  const [first, last] = [sliceOrigins(geometry)[0]!, sliceOrigins(geometry)[slices - 1]!];
  const [across, down] = [affineColumn(affine, 0), affineColumn(affine, 1)];
  return Math.hypot(
    ...[0, 1, 2].map((axis) => last[axis]! - first[axis]! + (columns - 1) * across[axis]! + (rows - 1) * down[axis]!),
  );
}

/** How many of ascending values are at most `limit`; distances that equal it to rounding count. */
function countWithin(sorted: Float64Array, limit: number): number {
  let count = 0;
  while (count < sorted.length && sorted[count]! <= limit + 1e-9) count++;
  return count;
}

/**
 * Surface distances of two masks in millimetres between border voxels' centres, at their true places (uneven slices and a
 * gantry tilt included): NSD at each tolerance = (|border T within the tolerance of border P| + |border P within … of T|) /
 * (|border T| + |border P|), and HD95. As in Metrics Reloaded (Maier-Hein et al., Nature Methods 2024).
 *
 * @param truth 0 or not, row-major slices x rows x columns.
 */
export function surfaceScores(
  truth: Uint8Array,
  predicted: Uint8Array,
  geometry: Geometry,
  options: SurfaceOptions = {},
): SurfaceScores {
  const { tolerances = [1, 2], empty = 'nan', missed = 'nan' } = options;
  const borderOfTruth = borderPoints(truth, geometry);
  const borderOfPrediction = borderPoints(predicted, geometry);
  if (borderOfTruth.length === 0 && borderOfPrediction.length === 0) {
    return empty === 'one' ? { nsd: tolerances.map(() => 1), hd95: 0 } : { nsd: tolerances.map(() => NaN), hd95: NaN };
  }
  if (borderOfTruth.length === 0 || borderOfPrediction.length === 0) {
    return { nsd: tolerances.map(() => 0), hd95: missed === 'diagonal' ? diagonalMm(geometry) : NaN };
  }
  const fromTruth = sortedDistances(borderOfTruth, new NearestPoints(borderOfPrediction));
  const fromPrediction = sortedDistances(borderOfPrediction, new NearestPoints(borderOfTruth));
  const nsd = tolerances.map(
    (tolerance) =>
      (countWithin(fromTruth, tolerance) + countWithin(fromPrediction, tolerance)) /
      (fromTruth.length + fromPrediction.length),
  );
  return { nsd, hd95: Math.max(quantileOfSorted(fromTruth, 0.95), quantileOfSorted(fromPrediction, 0.95)) };
}
