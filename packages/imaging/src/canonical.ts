import {
  affineColumn,
  affineFromColumns,
  flipLpsRas,
  normalize,
  scale,
  voxelToPatient,
  type Vector3,
} from './affine.js';
import { ImagingError } from './imaging-error.js';
import type { Volume, VoxelArray } from './volume.js';

/** How a canonical volume's voxels lie in the volume it was made from; made by {@link toCanonical}. */
export interface AxisMap {
  /** Index in the source's data of the canonical voxel (0, 0, 0), and steps along canonical column, row and slice. */
  readonly start: number;
  readonly steps: Vector3;
  /** The source's geometry, which {@link fromCanonical} gives back. */
  readonly source: Omit<Volume, 'data'>;
  /** Canonical sizes: columns, rows, slices. */
  readonly shape: Vector3;
}

export interface Canonical<T extends VoxelArray> {
  readonly volume: Volume<T>;
  readonly map: AxisMap;
}

type Axis = 0 | 1 | 2;

const PERMUTATIONS: readonly (readonly [Axis, Axis, Axis])[] = [
  [0, 1, 2],
  [1, 0, 2],
  [0, 2, 1],
  [2, 1, 0],
  [1, 2, 0],
  [2, 0, 1],
];

/** Patient directions (RAS+) in which canonical columns, rows and slices grow: to the left, backwards, upwards. */
const SIGNS = [-1, -1, 1] as const;

/**
 * The volume with columns running from the patient's right to left, rows from anterior to posterior and slices from
 * inferior to superior, as nearly as flips and swaps of axes allow: nothing is resampled, and where the order is right
 * already the data is shared, not copied. `map` brings label maps back with {@link fromCanonical}.
 */
export function toCanonical<T extends VoxelArray>(volume: Volume<T>): Canonical<T> {
  const { data, affine, positions, extents, ...sizes } = volume;
  const source: Omit<Volume, 'data'> = {
    ...sizes,
    affine,
    ...(positions && { positions }),
    ...(extents && { extents }),
  };
  const columns = [affineColumn(affine, 0), affineColumn(affine, 1), affineColumn(affine, 2)] as const;
  const axes = bestPermutation(columns.map(normalize));
  if (axes[2] !== 2 && (positions !== undefined || extents !== undefined)) {
    throw new ImagingError('unsupported', 'Expected axial slices, found unevenly spaced slices in another plane.');
  }
  const sourceSizes: Vector3 = [volume.columns, volume.rows, volume.slices];
  const sourceStrides: Vector3 = [1, volume.columns, volume.columns * volume.rows];
  const flipped = axes.map((axis, target) => columns[axis][target]! * SIGNS[target]! < 0);
  const shape: Vector3 = [sourceSizes[axes[0]], sourceSizes[axes[1]], sourceSizes[axes[2]]];
  const stepAlong = (target: Axis): number => sourceStrides[axes[target]] * (flipped[target] ? -1 : 1);
  const steps: Vector3 = [stepAlong(0), stepAlong(1), stepAlong(2)];
  const corner: [number, number, number] = [0, 0, 0];
  axes.forEach((axis, target) => {
    if (flipped[target]) corner[axis] = sourceSizes[axis] - 1;
  });
  const start = corner[0] + corner[1] * sourceStrides[1] + corner[2] * sourceStrides[2];
  const map: AxisMap = { start, steps, source, shape };
  const direction = (target: Axis): Vector3 => scale(columns[axes[target]], flipped[target] ? -1 : 1);
  const inPlaneCorner = flipLpsRas(
    voxelToPatient(affineFromColumns(columns[0], columns[1], columns[2], [0, 0, 0]), corner[0], corner[1], 0),
  );
  const inOrder = <V>(values: readonly V[]): V[] => (flipped[2] ? values.toReversed() : [...values]);
  const identity = start === 0 && steps.every((step, target) => step === sourceStrides[target]);
  return {
    volume: {
      data: identity ? data : gather(data, map),
      columns: shape[0],
      rows: shape[1],
      slices: shape[2],
      affine: affineFromColumns(direction(0), direction(1), direction(2), voxelToPatient(affine, ...corner)),
      ...(positions && {
        positions: inOrder(positions).map(([x, y, z]): Vector3 => [
          x + inPlaneCorner[0],
          y + inPlaneCorner[1],
          z + inPlaneCorner[2],
        ]),
      }),
      ...(extents && { extents: inOrder(extents) }),
    },
    map,
  };
}

/** Canonical voxels (a label map, as a rule) in the order and geometry of the volume that `map` came from. */
export function fromCanonical<T extends VoxelArray>(data: T, map: AxisMap): Volume<T> {
  const count = map.shape[0] * map.shape[1] * map.shape[2];
  if (data.length !== count) {
    throw new ImagingError(
      'bad-argument',
      `Expected ${count} voxels (${map.shape.join(' x ')}), found ${data.length}.`,
    );
  }
  const out = data.slice() as T;
  walk(map, (canonical, source) => {
    out[source] = data[canonical]!;
  });
  return { ...map.source, data: out };
}

function gather<T extends VoxelArray>(data: T, map: AxisMap): T {
  const out = data.slice() as T;
  walk(map, (canonical, source) => {
    out[canonical] = data[source]!;
  });
  return out;
}

function walk({ start, steps, shape }: AxisMap, visit: (canonical: number, source: number) => void): void {
  let canonical = 0;
  for (let k = 0; k < shape[2]; k++) {
    for (let j = 0; j < shape[1]; j++) {
      let source = start + k * steps[2] + j * steps[1];
      for (let i = 0; i < shape[0]; i++, source += steps[0]) visit(canonical++, source);
    }
  }
}

function bestPermutation(directions: readonly Vector3[]): readonly [Axis, Axis, Axis] {
  let best = PERMUTATIONS[0]!;
  let bestScore = -1;
  for (const candidate of PERMUTATIONS) {
    const score = candidate.reduce<number>((sum, axis, target) => sum + Math.abs(directions[axis]![target]!), 0);
    if (score > bestScore + 1e-9) [best, bestScore] = [candidate, score];
  }
  return best;
}
