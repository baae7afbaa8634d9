import { describe, expect, it } from 'vitest';

import { aucOf, detectionScores } from './detection.js';

const item = (isPositive: boolean, score: number) => ({ isPositive, isPredicted: score > 0.5, score });

describe('aucOf', () => {
  it('is 1, 0 and 0.5 for perfect, reversed and equal scores', () => {
    expect(aucOf([item(true, 0.9), item(false, 0.1)])).toBe(1);
    expect(aucOf([item(true, 0.1), item(false, 0.9)])).toBe(0);
    expect(aucOf([item(true, 0.4), item(false, 0.4), item(false, 0.4)])).toBe(0.5);
    expect(aucOf([item(true, 0.4)])).toBeNaN();
  });

  it("agrees with scikit-learn 1.9's roc_auc_score, ties included", () => {
    const items = Array.from({ length: 40 }, (_, m) => item((m * m * 7) % 5 < 2, ((m * 37) % 11) / 10));
    expect(aucOf(items)).toBeCloseTo(0.556640625, 12);
  });
});

describe('detectionScores', () => {
  it('follows its formulas, and has no number where there is nothing to divide by', () => {
    const items = [item(true, 0.9), item(true, 0.2), item(false, 0.6), item(false, 0.1), item(false, 0.3)];
    expect(detectionScores(items)).toEqual({ sensitivity: 0.5, specificity: 2 / 3, auc: 4 / 6 });
    expect(detectionScores([item(true, 1)])).toEqual({ sensitivity: 1, specificity: NaN, auc: NaN });
  });
});
