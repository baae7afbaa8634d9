import { describe, expect, it } from 'vitest';

import { volumeAgreement } from './agreement.js';

const pairsOf = (truth: number[], predicted: number[]) =>
  truth.map((value, index) => ({ truth: value, predicted: predicted[index]! }));

describe('volumeAgreement', () => {
  it('is perfect for equal volumes', () => {
    expect(volumeAgreement(pairsOf([1, 5, 9], [1, 5, 9]))).toEqual({
      n: 3,
      absoluteError: 0,
      relativeError: 0,
      bias: 0,
      lowerLimit: 0,
      upperLimit: 0,
      concordance: 1,
    });
  });

  it('has a constant offset as its bias, which lowers concordance by hand: 2 s² / (2 s² + d²)', () => {
    const found = volumeAgreement(pairsOf([0, 2, 4], [3, 5, 7]));
    expect(found).toMatchObject({ bias: 3, lowerLimit: 3, upperLimit: 3, absoluteError: 3 });
    expect(found.concordance).toBeCloseTo((2 * (8 / 3)) / (2 * (8 / 3) + 9), 12);
    expect(found.relativeError).toBeCloseTo((3 / 2 + 3 / 4) / 2, 12);
  });

  it("agrees with NumPy's moments", () => {
    const found = volumeAgreement(pairsOf([12, 0, 30.5, 4.2, 55, 8], [10, 1.5, 33, 4, 47, 9.5]));
    expect(found.concordance).toBeCloseTo(0.9795238429372979, 12);
    expect(found.bias).toBeCloseTo(-0.7833333333333333, 12);
    expect(found.lowerLimit).toBeCloseTo(-8.379861136656814, 12);
    expect(found.upperLimit).toBeCloseTo(6.813194469990147, 12);
    expect(found.absoluteError).toBeCloseTo(2.6166666666666667, 12);
    expect(found.relativeError).toBeCloseTo(0.12584149457100277, 12);
  });

  it('has no limits of one case, and nothing of none', () => {
    expect(volumeAgreement(pairsOf([1], [2]))).toMatchObject({ n: 1, bias: 1, lowerLimit: NaN, concordance: NaN });
    expect(volumeAgreement([])).toMatchObject({ n: 0, bias: NaN });
  });
});
