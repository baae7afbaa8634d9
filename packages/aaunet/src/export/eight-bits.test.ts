import { describe, expect, it } from 'vitest';

import { spread } from './eight-bits.js';

describe('the slices that the ranges of 8-bit numbers come from', () => {
  const slices = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

  it('lie all over the training part, whatever its size', () => {
    for (const count of [24, 25, 47, 48, 1000]) {
      const chosen = spread(slices(count), 24);
      expect(new Set(chosen).size).toBe(24);
      expect(chosen.at(-1)).toBeGreaterThanOrEqual(count - Math.ceil(count / 24));
    }
    expect(spread(slices(3), 24)).toEqual([0, 1, 2]);
    expect(spread([], 24)).toEqual([]);
  });
});
