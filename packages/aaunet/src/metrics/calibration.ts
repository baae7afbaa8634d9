/** Equal parts of 0 to 1 into which confidences are sorted. */
export const CALIBRATION_BINS = 15;

/** Below this a type's probability says no more than "no": such pixels would drown its calibration in background. */
export const NEGLIGIBLE = 0.01;

/** One bin of a reliability diagram. */
export interface CalibrationBin {
  readonly low: number;
  readonly high: number;
  readonly n: number;
  /** Mean probability given, and part of the events that came true; NaN in an empty bin. */
  readonly confidence: number;
  readonly accuracy: number;
}

export interface Calibration {
  /** Expected calibration error: the bins' |accuracy - confidence|, weighted by n; NaN without events. */
  readonly ece: number;
  readonly n: number;
  readonly bins: readonly CalibrationBin[];
}

/**
 * Compares probabilities with what came true, in equal bins (low, high], 0 in the first: Guo et al., On Calibration of
 * Modern Neural Networks, ICML 2017. Memory is independent of the number of events.
 */
export class CalibrationAccumulator {
  private readonly counts: Float64Array;
  private readonly probabilities: Float64Array;
  private readonly events: Float64Array;

  constructor(private readonly bins: number = CALIBRATION_BINS) {
    this.counts = new Float64Array(bins);
    this.probabilities = new Float64Array(bins);
    this.events = new Float64Array(bins);
  }

  /** Adds a probability (0 to 1) and whether the event came true. */
  add(probability: number, isTrue: boolean): void {
    const bin = Math.min(this.bins - 1, Math.max(0, Math.ceil(probability * this.bins) - 1));
    this.counts[bin]!++;
    this.probabilities[bin]! += probability;
    if (isTrue) this.events[bin]!++;
  }

  get result(): Calibration {
    const n = this.counts.reduce((sum, count) => sum + count, 0);
    const bins = Array.from(this.counts, (count, bin): CalibrationBin => ({
      low: bin / this.bins,
      high: (bin + 1) / this.bins,
      n: count,
      confidence: this.probabilities[bin]! / count,
      accuracy: this.events[bin]! / count,
    }));
    const error = bins.reduce(
      (sum, bin) => (bin.n === 0 ? sum : sum + bin.n * Math.abs(bin.accuracy - bin.confidence)),
      0,
    );
    return { ece: error / n, n, bins };
  }
}
