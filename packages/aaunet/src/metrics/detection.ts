/** One case or slice: whether it has the type, whether that was predicted, and how surely. */
export interface Detection {
  readonly isPositive: boolean;
  readonly isPredicted: boolean;
  /** Higher means likelier; any scale. */
  readonly score: number;
}

/** NaN where there are no positives (sensitivity), no negatives (specificity), or either (AUC). */
export interface DetectionScores {
  readonly sensitivity: number;
  readonly specificity: number;
  readonly auc: number;
}

/**
 * Area under the ROC curve: the chance that a positive scores higher than a negative, ties counting half (Mann and
 * Whitney); NaN without positives or without negatives.
 */
export function aucOf(items: Iterable<Pick<Detection, 'isPositive' | 'score'>>): number {
  const sorted = [...items].sort((a, b) => a.score - b.score);
  let [positives, negatives, wins] = [0, 0, 0];
  for (let start = 0; start < sorted.length;) {
    let end = start;
    let tiedPositives = 0;
    while (end < sorted.length && sorted[end]!.score === sorted[start]!.score) {
      if (sorted[end++]!.isPositive) tiedPositives++;
    }
    const tiedNegatives = end - start - tiedPositives;
    wins += tiedPositives * (negatives + tiedNegatives / 2);
    positives += tiedPositives;
    negatives += tiedNegatives;
    start = end;
  }
  return positives === 0 || negatives === 0 ? NaN : wins / (positives * negatives);
}

/** Sensitivity, specificity and AUC of yes-no findings. */
export function detectionScores(items: readonly Detection[]): DetectionScores {
  let [found, positives, passed] = [0, 0, 0];
  for (const { isPositive, isPredicted } of items) {
    if (isPositive) positives++;
    if (isPositive && isPredicted) found++;
    if (!isPositive && !isPredicted) passed++;
  }
  const negatives = items.length - positives;
  return {
    sensitivity: positives === 0 ? NaN : found / positives,
    specificity: negatives === 0 ? NaN : passed / negatives,
    auc: aucOf(items),
  };
}
