import { describe, expect, it } from 'vitest';

import { lesionScores, matchLesions } from './lesions.js';
import { MASK_SIZE, PREDICTED_MASK, TRUE_MASK } from './reference-masks.js';

const line = { slices: 1, rows: 1, columns: 12 };
const match = (truth: string, predicted: string, minIou?: number) =>
  matchLesions(
    Uint8Array.from(truth, Number),
    Uint8Array.from(predicted, Number),
    { ...line, columns: truth.length },
    minIou,
  );

describe('matchLesions', () => {
  it('counts found, missed and invented lesions', () => {
    expect(match('110011000', '110000011')).toEqual({ truth: 2, predicted: 2, matched: 1 });
  });

  it('matches one to one: of two predicted parts of a lesion one is too many', () => {
    expect(match('111111110', '111101110')).toEqual({ truth: 1, predicted: 2, matched: 1 });
    // One predicted lesion over two true ones finds the one with the larger IoU.
    expect(match('111110110', '111111110')).toEqual({ truth: 2, predicted: 1, matched: 1 });
  });

  it('asks for the IoU that is named', () => {
    expect(match('1111000000', '0001111000', 0.1)).toMatchObject({ matched: 1 });
    expect(match('1111000000', '0001111000', 0.2)).toMatchObject({ matched: 0 });
  });

  it("counts SciPy's components of the reference masks, of which it matches the large one", () => {
    expect(matchLesions(TRUE_MASK, PREDICTED_MASK, MASK_SIZE)).toEqual({ truth: 2, predicted: 5, matched: 1 });
    expect(matchLesions(TRUE_MASK, PREDICTED_MASK, MASK_SIZE, 0.369)).toMatchObject({ matched: 1 });
    expect(matchLesions(TRUE_MASK, PREDICTED_MASK, MASK_SIZE, 0.37)).toMatchObject({ matched: 0 });
  });
});

describe('lesionScores', () => {
  it('follows its formulas', () => {
    expect(lesionScores({ truth: 4, predicted: 2, matched: 1 })).toEqual({ precision: 0.5, recall: 0.25, f1: 1 / 3 });
    expect(lesionScores({ truth: 0, predicted: 0, matched: 0 })).toEqual({ precision: NaN, recall: NaN, f1: NaN });
    expect(lesionScores({ truth: 0, predicted: 3, matched: 0 })).toEqual({ precision: 0, recall: NaN, f1: 0 });
  });
});
