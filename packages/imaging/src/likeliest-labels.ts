import { ImagingError } from './imaging-error.js';

/** The layout of a network's output, and the types that it was not taught. */
export interface LogitShape {
  /** Slices in the batch. */
  readonly count: number;
  readonly classes: number;
  /** Pixels of a slice. */
  readonly pixels: number;
  /** Types that the training data do not mark: their probability is background's, as it was in training. */
  readonly unmarked?: readonly number[];
}

/**
 * The likeliest class of every pixel, the unmarked types counted as background; of equals the lower number.
 *
 * @param logits count x classes x pixels
 * @returns count x pixels
 * @throws ImagingError if a logit is no finite number, or there are more or fewer
 */
export function likeliestLabels(
  logits: Float32Array,
  { count, classes, pixels, unmarked = [] }: LogitShape,
): Uint8Array {
  checkLogits(logits, count, classes, pixels);
  const ids = Array.from({ length: classes }, (_, id) => id);
  const background = ids.filter((id) => id === 0 || unmarked.includes(id));
  const marked = ids.filter((id) => !background.includes(id));
  const labels = new Uint8Array(count * pixels);
  for (let n = 0; n < count; n++) {
    const start = n * classes * pixels;
    for (let pixel = 0; pixel < pixels; pixel++) {
      const at = start + pixel;
      let best = background.length === 1 ? logits[at]! : logSumExp(logits, at, pixels, background);
      let label = 0;
      for (const id of marked) {
        const value = logits[at + id * pixels]!;
        if (value > best) [best, label] = [value, id];
      }
      labels[n * pixels + pixel] = label;
    }
  }
  return labels;
}

/**
 * Probabilities of the classes of every pixel (softmax over them), those of unmarked types counted as background's.
 *
 * @param logits count x classes x pixels
 * @returns the same shape
 * @throws ImagingError if a logit is no finite number, or there are more or fewer
 */
export function classProbabilities(
  logits: Float32Array,
  { count, classes, pixels, unmarked = [] }: LogitShape,
): Float32Array {
  checkLogits(logits, count, classes, pixels);
  const result = new Float32Array(logits.length);
  for (let n = 0; n < count; n++) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      const at = n * classes * pixels + pixel;
      let most = -Infinity;
      for (let id = 0; id < classes; id++) most = Math.max(most, logits[at + id * pixels]!);
      let sum = 0;
      for (let id = 0; id < classes; id++) {
        const weight = Math.exp(logits[at + id * pixels]! - most);
        result[at + (unmarked.includes(id) ? 0 : id) * pixels]! += weight;
        sum += weight;
      }
      for (let id = 0; id < classes; id++) result[at + id * pixels]! /= sum;
    }
  }
  return result;
}

function checkLogits(logits: Float32Array, count: number, classes: number, pixels: number): void {
  if (logits.length !== count * classes * pixels) {
    throw new ImagingError(
      'bad-argument',
      `Expected ${count} x ${classes} x ${pixels} logits, found ${logits.length}: the model has another output.`,
    );
  }
  // NaN is larger than nothing: all of a diverged network's pixels would be background.
  // By index: for-of over a typed array takes ten times as long.
  for (let index = 0; index < logits.length; index++) {
    if (Number.isFinite(logits[index])) continue;
    throw new ImagingError(
      'bad-argument',
      `Expected finite logits, found ${logits[index]} at index ${index}: the model's weights are damaged or its training diverged; use another checkpoint.`,
    );
  }
}

function logSumExp(logits: Float32Array, at: number, pixels: number, ids: readonly number[]): number {
  let most = -Infinity;
  for (const id of ids) most = Math.max(most, logits[at + id * pixels]!);
  let sum = 0;
  for (const id of ids) sum += Math.exp(logits[at + id * pixels]! - most);
  return Math.fround(most + Math.log(sum));
}
