import type { Volume } from '@aaunet/imaging';
import { describe, expect, it } from 'vitest';

import { coverageProblems } from './coverage.js';

/** A head of these half widths in pixels, a slice each: bone around soft tissue. */
function headOf(halves: readonly number[], stepMm: number, extents?: readonly number[]): Volume<Int16Array> {
  const side = 32;
  const data = new Int16Array(halves.length * side * side).fill(-1000);
  halves.forEach((half, k) => {
    for (let j = 16 - half; j < 16 + half; j++)
      for (let i = 16 - half; i < 16 + half; i++) {
        const isBone = Math.min(i - 16 + half, j - 16 + half, 15 + half - i, 15 + half - j) < 1;
        data[(k * side + j) * side + i] = isBone ? 900 : 35;
      }
  });
  const affine: Volume['affine'] = [
    [-1, 0, 0, 0],
    [0, -1, 0, 0],
    [0, 0, stepMm, 0],
    [0, 0, 0, 1],
  ];
  return { data, slices: halves.length, rows: side, columns: side, affine, ...(extents && { extents }) };
}

const codes = (scan: Volume<Int16Array>): string[] => coverageProblems(scan).map(({ code }) => code);

/** From the skull base to the top, 12 cm. */
const WHOLE = [...new Array<number>(18).fill(14), 12, 10, 8, 5, 3, 2];

describe('coverageProblems', () => {
  it('has nothing to say of a whole head', () => {
    expect(codes(headOf(WHOLE, 5))).toEqual([]);
  });

  it('warns of fewer millimetres than a brain has, by the true extents of uneven slices', () => {
    expect(codes(headOf(WHOLE.slice(12), 5))).toEqual(['incomplete-coverage']);
    expect(coverageProblems(headOf(WHOLE.slice(12), 5))[0]!.message).toContain('cover 60 mm');
    const thick = WHOLE.slice(12).map(() => 10);
    expect(codes(headOf(WHOLE.slice(12), 5, thick))).toEqual([]);
    expect(
      codes(
        headOf(
          WHOLE,
          5,
          WHOLE.map(() => 2),
        ),
      ),
    ).toEqual(['incomplete-coverage']);
  });

  it('warns where the top slice is as full as the middle: the vertex is missing', () => {
    expect(codes(headOf(WHOLE.slice(0, 19), 6))).toEqual(['vertex-missing']);
    expect(codes(headOf(new Array<number>(6).fill(14), 5))).toEqual(['incomplete-coverage', 'vertex-missing']);
  });

  it('does not call air above a head, or a single slice, a missing vertex', () => {
    expect(codes(headOf([...WHOLE, 0, 0], 5))).toEqual([]);
    expect(codes(headOf([14], 150))).toEqual([]);
  });
});
