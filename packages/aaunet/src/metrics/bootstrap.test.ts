import { describe, expect, it } from 'vitest';

import { bootstrapInterval, bootstrapIntervals, groupBy, quantileOfSorted } from './bootstrap.js';

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('quantileOfSorted', () => {
  it('interpolates as NumPy does', () => {
    // numpy.quantile([1, 2, 4, 8], [0, 0.1, 0.5, 0.95, 1])
    const values = [1, 2, 4, 8];
    const expected = [1, 1.3, 3, 7.4, 8];
    [0, 0.1, 0.5, 0.95, 1].forEach((p, index) => {
      expect(quantileOfSorted(values, p)).toBeCloseTo(expected[index]!, 12);
    });
    expect(quantileOfSorted([], 0.5)).toBeNaN();
  });
});

describe('bootstrapInterval', () => {
  const values = Array.from({ length: 100 }, (_, i) => i / 99);

  it('has the width that theory gives for a mean', () => {
    const { value, low, high } = bootstrapInterval(values, mean, { resamples: 4000 });
    expect(value).toBeCloseTo(0.5, 12);
    // The standard error of the mean of a uniform variable is sqrt(1 / 12 / 100).
    const half = 1.96 * Math.sqrt(values.reduce((sum, v) => sum + (v - 0.5) ** 2, 0) / 100 / 100);
    expect(low).toBeGreaterThan(0.5 - 1.1 * half);
    expect(low).toBeLessThan(0.5 - 0.9 * half);
    expect(high).toBeGreaterThan(0.5 + 0.9 * half);
    expect(high).toBeLessThan(0.5 + 1.1 * half);
  });

  it('is the same for the same seed, and another for another', () => {
    const once = bootstrapInterval(values, mean, { resamples: 50 });
    expect(bootstrapInterval(values, mean, { resamples: 50 })).toEqual(once);
    expect(bootstrapInterval(values, mean, { resamples: 50, seed: 7 })).not.toEqual(once);
  });

  it('has no width for equal units, is undefined for none, and skips resamples without a value', () => {
    expect(bootstrapInterval([3, 3, 3], mean)).toEqual({ value: 3, low: 3, high: 3 });
    expect(bootstrapInterval([], mean)).toEqual({ value: NaN, low: NaN, high: NaN });
    const ofOnes = (sample: readonly number[]): number => mean(sample.filter((v) => v === 1));
    expect(bootstrapInterval([0, 0, 1], ofOnes)).toEqual({ value: 1, low: 1, high: 1 });
  });

  it('gives each of several figures the interval that it has alone', () => {
    const both = bootstrapIntervals(values, (sample) => [mean(sample), Math.max(...sample)], { resamples: 100 });
    expect(both[0]).toEqual(bootstrapInterval(values, mean, { resamples: 100 }));
    expect(both[1]).toEqual(bootstrapInterval(values, (sample) => Math.max(...sample), { resamples: 100 }));
  });

  it('refuses options that mean nothing', () => {
    expect(() => bootstrapInterval(values, mean, { resamples: 0 })).toThrow('at least one resample');
    expect(() => bootstrapInterval(values, mean, { level: 95 })).toThrow('level between 0 and 1');
  });
});

describe('groupBy', () => {
  it('keeps the order of keys and items', () => {
    expect(groupBy(['b1', 'a1', 'b2'], (item) => item[0]!)).toEqual([['b1', 'b2'], ['a1']]);
  });
});
