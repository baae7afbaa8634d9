import { sliceExtents, type Affine } from '@aaunet/imaging';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { NearestPoints } from './nearest.js';
import { MASK_SIZE, PREDICTED_MASK, TRUE_MASK } from './reference-masks.js';
import { borderPoints, surfaceScores, type Geometry } from './surface.js';

const canonical = (x: number, y: number, z: number): Affine => [
  [-x, 0, 0, 0],
  [0, -y, 0, 0],
  [0, 0, z, 0],
  [0, 0, 0, 1],
];

function boxOf(geometry: Geometry, from: readonly number[], to: readonly number[]): Uint8Array {
  const mask = new Uint8Array(geometry.slices * geometry.rows * geometry.columns);
  for (let k = from[2]!; k < to[2]!; k++)
    for (let j = from[1]!; j < to[1]!; j++)
      for (let i = from[0]!; i < to[0]!; i++) mask[(k * geometry.rows + j) * geometry.columns + i] = 1;
  return mask;
}

describe('surfaceScores', () => {
  const grid: Geometry = { slices: 6, rows: 20, columns: 20, affine: canonical(1, 1, 5) };

  it('is 1 and 0 mm for equal masks', () => {
    const box = boxOf(grid, [3, 3, 1], [9, 9, 4]);
    expect(surfaceScores(box, box, grid)).toEqual({ nsd: [1, 1], hd95: 0 });
  });

  it('is the shift for single voxels, in mm along each axis', () => {
    const at = (i: number, j: number, k: number): Uint8Array => boxOf(grid, [i, j, k], [i + 1, j + 1, k + 1]);
    expect(surfaceScores(at(5, 5, 2), at(5, 5, 3), grid)).toEqual({ nsd: [0, 0], hd95: 5 });
    expect(surfaceScores(at(5, 5, 2), at(7, 5, 2), grid)).toEqual({ nsd: [0, 1], hd95: 2 });
    expect(surfaceScores(at(5, 5, 2), at(8, 9, 2), grid, { tolerances: [5] })).toEqual({ nsd: [1], hd95: 5 });
  });

  it('uses the true places of uneven slices', () => {
    const heights = [0, 4, 8, 9, 16, 23];
    const uneven: Geometry = {
      ...grid,
      positions: heights.map((z) => [0, 0, z] as const),
      extents: sliceExtents(heights),
    };
    const at = (k: number): Uint8Array => boxOf(grid, [5, 5, k], [6, 6, k + 1]);
    expect(surfaceScores(at(2), at(3), uneven)).toEqual({ nsd: [1, 1], hd95: 1 });
    expect(surfaceScores(at(3), at(4), uneven)).toEqual({ nsd: [0, 0], hd95: 7 });
  });

  it('agrees with SciPy 1.17 (erosion, Euclidean distance transform, NumPy percentiles)', () => {
    const even = surfaceScores(TRUE_MASK, PREDICTED_MASK, { ...MASK_SIZE, affine: canonical(0.45, 0.7, 1.3) });
    expect(even.nsd[0]).toBeCloseTo(0.512396694214876, 12);
    expect(even.nsd[1]).toBeCloseTo(0.9228650137741047, 12);
    expect(even.hd95).toBeCloseTo(2.6, 12);
  });

  it('agrees with all pairs of distances where slices are uneven and lean by 18.5 degrees', () => {
    const lean = Math.tan((18.5 * Math.PI) / 180);
    const positions = [0, 0.8, 2.9, 3.3, 5.6, 9.1, 10].map((z) => [0, z * lean, z] as const);
    const scores = surfaceScores(TRUE_MASK, PREDICTED_MASK, {
      ...MASK_SIZE,
      affine: canonical(0.45, 0.7, 1),
      positions,
    });
    expect(scores.nsd[0]).toBeCloseTo(0.7520661157024794, 12);
    expect(scores.nsd[1]).toBeCloseTo(0.9035812672176309, 12);
    expect(scores.hd95).toBeCloseTo(2.5037230389356337, 12);
  });

  it('follows the named conventions for empty masks', () => {
    const none = new Uint8Array(6 * 20 * 20);
    const box = boxOf(grid, [3, 3, 1], [9, 9, 4]);
    expect(surfaceScores(none, none, grid)).toEqual({ nsd: [NaN, NaN], hd95: NaN });
    expect(surfaceScores(none, none, grid, { empty: 'one' })).toEqual({ nsd: [1, 1], hd95: 0 });
    expect(surfaceScores(box, none, grid)).toEqual({ nsd: [0, 0], hd95: NaN });
    const { hd95 } = surfaceScores(none, box, grid, { missed: 'diagonal' });
    expect(hd95).toBeCloseTo(Math.hypot(19, 19, 25), 12);
  });

  it('counts voxels at the edge of the volume as border, and refuses another size', () => {
    const all = new Uint8Array(6 * 20 * 20).fill(1);
    expect(borderPoints(all, grid).length / 3).toBe(6 * 20 * 20 - 4 * 18 * 18);
    expect(() => borderPoints(all.subarray(1), grid)).toThrow('found 2399');
  });
});

describe('NearestPoints', () => {
  it('finds the distance that a search through all points finds', () => {
    const place = fc.tuple(fc.integer({ min: 0, max: 9 }), fc.double({ min: 0, max: 9, noNaN: true }), fc.nat(3));
    fc.assert(
      fc.property(fc.array(place, { maxLength: 200 }), place, (points, [x, y, z]) => {
        const best = Math.min(...points.map((p) => (p[0] - x) ** 2 + (p[1] - y) ** 2 + (p[2] - z) ** 2));
        const tree = new NearestPoints(Float64Array.from(points.flat()));
        expect(tree.squaredDistance(x, y, z)).toBeCloseTo(best, 10);
      }),
    );
  });
});
