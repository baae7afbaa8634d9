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
 */
export function likeliestLabels(
  logits: Float32Array,
  { count, classes, pixels, unmarked = [] }: LogitShape,
): Uint8Array {
  if (logits.length !== count * classes * pixels) {
    throw new ImagingError(
      'bad-argument',
      `Expected ${count} x ${classes} x ${pixels} logits, found ${logits.length}: the model has another output.`,
    );
  }
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

function logSumExp(logits: Float32Array, at: number, pixels: number, ids: readonly number[]): number {
  let most = -Infinity;
  for (const id of ids) most = Math.max(most, logits[at + id * pixels]!);
  let sum = 0;
  for (const id of ids) sum += Math.exp(logits[at + id * pixels]! - most);
  return Math.fround(most + Math.log(sum));
}
