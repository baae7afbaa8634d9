import type { EmptyConvention } from './dice.js';

/** Sizes in voxels of a mask in the truth, in the prediction and of what both share. */
export interface Overlap {
  readonly truth: number;
  readonly predicted: number;
  readonly intersection: number;
}

/** Overlap scores of two masks, 0 to 1; NaN where undefined. */
export interface OverlapScores {
  /** 2 |T ∩ P| / (|T| + |P|) */
  readonly dice: number;
  /** |T ∩ P| / |T ∪ P| */
  readonly iou: number;
  /** |T ∩ P| / |P|, NaN where nothing is predicted. */
  readonly precision: number;
  /** |T ∩ P| / |T|, NaN where there is nothing to find. */
  readonly recall: number;
}

/** Dice, IoU, precision and recall of two masks; where both are empty all are NaN, or 1 with `one`. */
export function overlapScores(
  { truth, predicted, intersection }: Overlap,
  empty: EmptyConvention = 'nan',
): OverlapScores {
  if (truth + predicted === 0) {
    const score = empty === 'one' ? 1 : NaN;
    return { dice: score, iou: score, precision: score, recall: score };
  }
  return {
    dice: (2 * intersection) / (truth + predicted),
    iou: intersection / (truth + predicted - intersection),
    precision: predicted === 0 ? NaN : intersection / predicted,
    recall: truth === 0 ? NaN : intersection / truth,
  };
}

/** Overlaps added up: the pooled set. */
export function sumOverlaps(overlaps: Iterable<Overlap>): Overlap {
  let [truth, predicted, intersection] = [0, 0, 0];
  for (const one of overlaps) {
    truth += one.truth;
    predicted += one.predicted;
    intersection += one.intersection;
  }
  return { truth, predicted, intersection };
}
