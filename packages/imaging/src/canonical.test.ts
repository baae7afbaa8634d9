import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { affineFromColumns, sliceExtents, voxelToPatient, type Vector3 } from './affine.js';
import { fromCanonical, toCanonical } from './canonical.js';
import type { Volume } from './volume.js';

const AXES: readonly Vector3[] = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
];

/** A 2 x 3 x 4 volume, its axes along patient axes `order` with `signs`, slightly sheared as by a tilt. */
function oriented(order: readonly number[], signs: readonly number[]): Volume<Int16Array> {
  const lengths = [0.5, 0.75, 5];
  const column = (axis: number): Vector3 => {
    const [x, y, z] = AXES[order[axis]!]!;
    const length = lengths[axis]! * signs[axis]!;
    return [x * length + 0.01, y * length - 0.02, z * length + 0.03];
  };
  return {
    data: Int16Array.from({ length: 24 }, (_, index) => index),
    columns: 2,
    rows: 3,
    slices: 4,
    affine: affineFromColumns(column(0), column(1), column(2), [10, -20, 30]),
  };
}

/** Patient coordinates of each voxel value, which no reordering may change. */
function placesByValue(volume: Volume): Map<number, string> {
  const places = new Map<number, string>();
  for (let k = 0; k < volume.slices; k++) {
    for (let j = 0; j < volume.rows; j++) {
      for (let i = 0; i < volume.columns; i++) {
        const value = volume.data[(k * volume.rows + j) * volume.columns + i]!;
        const place = voxelToPatient(volume.affine, i, j, k).map((x) => (x + 0).toFixed(6));
        places.set(value, place.join());
      }
    }
  }
  return places;
}

describe('toCanonical and fromCanonical', () => {
  const orders = [
    [0, 1, 2],
    [1, 0, 2],
    [0, 2, 1],
    [2, 1, 0],
    [1, 2, 0],
    [2, 0, 1],
  ];

  it('turns all 48 orientations right, moves no voxel in the patient, and comes back exactly', () => {
    for (const order of orders) {
      for (let bits = 0; bits < 8; bits++) {
        const source = oriented(
          order,
          [bits & 1, bits & 2, bits & 4].map((bit) => (bit === 0 ? 1 : -1)),
        );
        const { volume, map } = toCanonical(source);
        expect(volume.affine[0][0]).toBeLessThan(-0.4);
        expect(volume.affine[1][1]).toBeLessThan(-0.4);
        expect(volume.affine[2][2]).toBeGreaterThan(0.4);
        expect(placesByValue(volume)).toEqual(placesByValue(source));
        expect(fromCanonical(volume.data, map)).toEqual(source);
      }
    }
  });

  it('copies nothing where the order is right already', () => {
    const source = oriented([0, 1, 2], [-1, -1, 1]);
    const { volume } = toCanonical(source);
    expect(volume.data).toBe(source.data);
    expect(volume.affine).toEqual(source.affine);
  });

  it('turns positions and extents with the slices', () => {
    const positions: Vector3[] = [0, 1, 4, 9].map((z) => [-10, 20, 30 - z]);
    const extents = sliceExtents([0, 1, 4, 9]);
    const source = { ...oriented([0, 1, 2], [1, -1, -1]), positions, extents };
    const { volume, map } = toCanonical(source);
    expect(volume.extents).toEqual(extents.toReversed());
    expect(volume.positions![3]![2]).toBeCloseTo(30 + 0.03);
    // The first voxel of a row is now the one that was last, half a millimetre to the patient's right.
    expect(volume.positions![3]![0]).toBeCloseTo(-10 - 0.51);
    expect(fromCanonical(volume.data, map)).toEqual(source);
  });

  it('brings any label map back to the source order', () => {
    fc.assert(
      fc.property(fc.constantFrom(...orders), fc.uint8Array({ minLength: 24, maxLength: 24 }), (order, labels) => {
        const source = { ...oriented(order, [1, 1, 1]), data: labels };
        const { volume, map } = toCanonical(source);
        expect(fromCanonical(volume.data, map).data).toEqual(labels);
      }),
    );
  });
});
