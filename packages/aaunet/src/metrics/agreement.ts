/** How predicted volumes agree with true ones, mL; NaN where undefined. */
export interface VolumeAgreement {
  /** Cases compared. */
  readonly n: number;
  /** Mean of |predicted - true|. */
  readonly absoluteError: number;
  /** Mean of |predicted - true| / true over the cases where true > 0. */
  readonly relativeError: number;
  /** Bland and Altman: mean of predicted - true. */
  readonly bias: number;
  /** Bias less and plus 1.96 standard deviations (of n - 1) of predicted - true. */
  readonly lowerLimit: number;
  readonly upperLimit: number;
  /** Lin's concordance correlation coefficient: 2 s_tp / (s_t² + s_p² + (mean t - mean p)²), moments over n. */
  readonly concordance: number;
}

function meanOf(values: readonly number[]): number {
  return values.length === 0 ? NaN : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * Agreement of volumes over cases. Bland and Altman, Lancet 1986; Lin, Biometrics 1989.
 *
 * @param pairs true and predicted volume of each case, mL.
 */
export function volumeAgreement(
  pairs: readonly { readonly truth: number; readonly predicted: number }[],
): VolumeAgreement {
  const n = pairs.length;
  const differences = pairs.map(({ truth, predicted }) => predicted - truth);
  const bias = meanOf(differences);
  const deviation =
    n < 2 ? NaN : Math.sqrt(differences.reduce((sum, difference) => sum + (difference - bias) ** 2, 0) / (n - 1));
  const meanTruth = meanOf(pairs.map(({ truth }) => truth));
  const meanPredicted = meanOf(pairs.map(({ predicted }) => predicted));
  const varianceOfTruth = meanOf(pairs.map(({ truth }) => (truth - meanTruth) ** 2));
  const varianceOfPrediction = meanOf(pairs.map(({ predicted }) => (predicted - meanPredicted) ** 2));
  const covariance = meanOf(pairs.map(({ truth, predicted }) => (truth - meanTruth) * (predicted - meanPredicted)));
  return {
    n,
    absoluteError: meanOf(differences.map(Math.abs)),
    relativeError: meanOf(
      pairs.filter(({ truth }) => truth > 0).map(({ truth, predicted }) => Math.abs(predicted - truth) / truth),
    ),
    bias,
    lowerLimit: bias - 1.96 * deviation,
    upperLimit: bias + 1.96 * deviation,
    concordance:
      n < 2 ? NaN : (2 * covariance) / (varianceOfTruth + varianceOfPrediction + (meanTruth - meanPredicted) ** 2),
  };
}
