import { describe, expect, it } from 'vitest';

import { overlapScores, sumOverlaps } from './overlap.js';
import { PREDICTED_MASK, TRUE_MASK } from './reference-masks.js';

describe('overlapScores', () => {
  it('follows its formulas', () => {
    expect(overlapScores({ truth: 6, predicted: 4, intersection: 3 })).toEqual({
      dice: 0.6,
      iou: 3 / 7,
      precision: 0.75,
      recall: 0.5,
    });
  });

  it("agrees with NumPy's counts", () => {
    const count = (isIn: (voxel: number) => boolean): number => TRUE_MASK.filter((_, voxel) => isIn(voxel)).length;
    const scores = overlapScores({
      truth: count((voxel) => TRUE_MASK[voxel] === 1),
      predicted: count((voxel) => PREDICTED_MASK[voxel] === 1),
      intersection: count((voxel) => TRUE_MASK[voxel] === 1 && PREDICTED_MASK[voxel] === 1),
    });
    expect(scores.dice).toBeCloseTo(0.5239005736137667, 12);
    expect(scores.iou).toBeCloseTo(0.3549222797927461, 12);
  });

  it('is undefined, or 1 by convention, where both are empty; 0 where one is', () => {
    const none = { truth: 0, predicted: 0, intersection: 0 };
    expect(overlapScores(none)).toEqual({ dice: NaN, iou: NaN, precision: NaN, recall: NaN });
    expect(overlapScores(none, 'one')).toEqual({ dice: 1, iou: 1, precision: 1, recall: 1 });
    expect(overlapScores({ ...none, predicted: 2 }, 'one')).toEqual({ dice: 0, iou: 0, precision: 0, recall: NaN });
  });
});

describe('sumOverlaps', () => {
  it('adds up', () => {
    const one = { truth: 1, predicted: 2, intersection: 1 };
    expect(sumOverlaps([one, { ...one, truth: 5 }])).toEqual({ truth: 6, predicted: 4, intersection: 2 });
  });
});
