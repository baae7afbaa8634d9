import { describe, expect, it } from 'vitest';

import { holm, pairedTest, wilcoxonSignedRank } from './paired.js';

describe('wilcoxonSignedRank', () => {
  it('is exact by hand for few differences', () => {
    // All five positive: 2 of the 32 sign patterns are as extreme.
    expect(wilcoxonSignedRank([1, 2, 3, 4, 5])).toBeCloseTo(2 / 32, 12);
    // Rank sums of the negatives 1: patterns with sum 0 or 1 are two, doubled four of 32.
    expect(wilcoxonSignedRank([-1, 2, 3, 4, 5])).toBeCloseTo(4 / 32, 12);
    expect(wilcoxonSignedRank([0, 0])).toBeNaN();
  });

  it("agrees with SciPy 1.17's wilcoxon", () => {
    expect(wilcoxonSignedRank([0.11, -0.05, 0.2, 0.31, -0.02, 0.07, 0.15, 0.4, -0.12, 0.09])).toBeCloseTo(
      0.064453125,
      12,
    );
    const ties = [1, 2, 2, -1, 3, 3, -2, 4, 5, 1, 1, -1, 2];
    expect(wilcoxonSignedRank(ties)).toBeCloseTo(0.026611328125, 12);
    expect(wilcoxonSignedRank([0, 0.5, -0.2, 0.3, 0.9, 1.1, -0.4])).toBeCloseTo(0.21875, 12);
    const many = Array.from({ length: 60 }, (_, i) => ((i * 7) % 13) - 5);
    expect(wilcoxonSignedRank(many)).toBeCloseTo(0.08571341950794559, 12);
  });

  it('is exact with ties, where the normal approximation is not', () => {
    // All subsets of the 20 mean ranks counted: 0.00459; approximated 0.00648.
    const ties = [1, 2, 2, -1, 3, 3, -2, 4, 5, 1, 1, -1, 2, 6, 3, -4, 2, 1, 5, 3];
    expect(wilcoxonSignedRank(ties)).toBeCloseTo(0.0045948028564453125, 12);
  });

  it('keeps its digits far out in the tail', () => {
    // All 100 positive and tied: z = -sqrt(100); scipy.special.erfc(10 / sqrt(2)) = 1.5239706048321166e-23.
    const p = wilcoxonSignedRank(Array.from({ length: 100 }, () => 1));
    expect(p / 1.5239706048321166e-23).toBeCloseTo(1, 9);
  });
});

describe('holm', () => {
  it('steps down, never decreases, and passes over what is undefined', () => {
    expect(holm([0.01, 0.04, NaN, 0.03])).toEqual([0.03, 0.06, NaN, 0.06]);
  });
});

describe('pairedTest', () => {
  it('sees a difference that is the same everywhere, and none between equals', () => {
    const better = pairedTest([0.1, 0.5, 0.3, 0.7, 0.2, 0.6].map((dice) => [dice, dice + 0.125]));
    expect(better).toMatchObject({ n: 6, difference: 0.125, low: 0.125, high: 0.125 });
    expect(better.p).toBeCloseTo(2 / 64, 12);
    const equal = pairedTest([
      [0.5, 0.5],
      [0.2, 0.2],
    ]);
    expect(equal).toEqual({ n: 2, difference: 0, low: 0, high: 0, p: NaN });
  });

  it('leaves out pairs with an undefined figure', () => {
    expect(
      pairedTest([
        [NaN, 0.4],
        [0.2, 0.4],
      ]),
    ).toMatchObject({ n: 1, difference: 0.2 });
    expect(pairedTest([[NaN, 1]])).toMatchObject({ n: 0, difference: NaN });
  });
});
