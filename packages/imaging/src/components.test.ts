import { describe, expect, it } from 'vitest';

import { connectedComponents } from './components.js';

const lesion = (label: number): boolean => label === 1;

describe('connectedComponents', () => {
  it('joins voxels that share a corner, also across slices, and no others', () => {
    // Slice 0: a pair at the left, one at the right; slice 1: one that touches the pair by a corner.
    const data = Uint8Array.from([
      ...[1, 0, 0, 0, 1],
      ...[1, 0, 0, 0, 0],
      ...[0, 0, 0, 0, 0],
      ...[0, 0, 0, 0, 0],
      ...[0, 0, 0, 0, 0],
      ...[0, 1, 0, 0, 0],
    ]);
    const { ids, sizes } = connectedComponents({ data, slices: 2, rows: 3, columns: 5 }, lesion);
    expect(sizes).toEqual([3, 1]);
    expect([ids[0], ids[5], ids[26], ids[4], ids[1]]).toEqual([1, 1, 1, 2, 0]);
  });

  it('does not join the end of a row with the start of the next, or other labels', () => {
    const data = Uint8Array.from([0, 0, 1, 0, 0, 0, 1, 2, 0]);
    expect(connectedComponents({ data, slices: 1, rows: 3, columns: 3 }, lesion).sizes).toEqual([1, 1]);
    const all = connectedComponents({ data, slices: 1, rows: 3, columns: 3 }, (label) => label > 0);
    expect(all.sizes).toEqual([1, 2]);
  });

  it('walks a long snake without running out of stack, and refuses other sizes', () => {
    const data = new Uint8Array(300 * 300).fill(1);
    expect(connectedComponents({ data, slices: 1, rows: 300, columns: 300 }, lesion).sizes).toEqual([90000]);
    expect(() => connectedComponents({ data, slices: 2, rows: 300, columns: 300 }, lesion)).toThrow('found 90000');
  });
});
