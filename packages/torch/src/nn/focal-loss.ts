import { cat } from '../create.js';
import { aten, operator } from '../operators.js';
import { tidy } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { hasKernel } from './has-kernel.js';

/** What fits the kernel's buffers. */
const MAX_CLASSES = 31;
/** Far below 1 - q of any q < 1 in float32. */
const SMALLEST_DOUBT = 1e-12;

export interface FocalLossOptions {
  /** One for each label. */
  readonly weights: Tensor;
  /** Classes that a pixel of each label may be, at least one. */
  readonly candidates: readonly (readonly number[])[];
  readonly gamma: number;
}

/**
 * Class-weighted focal loss (Lin et al. 2017, arXiv:1708.02002, eq. 5) of labels that may leave open which of several classes a
 * pixel is: the mean over all pixels of -w[y] (1 - q)^gamma log q, q the sum of the probabilities (softmax) of label y's
 * candidates. In float32 or better. A pixel that may be any class adds 0 to the loss and to every gradient.
 *
 * @param logits N x C x H x W
 * @param target label of each pixel, N x H x W, int64
 * @returns a scalar
 */
export function focalLoss(logits: Tensor, target: Tensor, { weights, candidates, gamma }: FocalLossOptions): Tensor {
  const classes = logits.size(1);
  if (hasKernel(logits) && logits.device === 'cpu' && classes <= MAX_CLASSES && !weights.requiresGrad) {
    const sets = candidates.map((of) => of.reduce((bits, id) => bits + 2 ** id, 0));
    return operator('aaunet::focal_loss')(logits, target, weights, sets, gamma) as Tensor;
  }
  return tidy(() => {
    const wide = logits.dtype === 'float64' ? logits : logits.to('float32');
    const logProbability = wide.logSoftmax(1);
    const logSum = (of: readonly number[]): Tensor => {
      const one = logProbability.narrow(1, of[0]!, 1);
      // Certain, and a constant: no gradient, not even a rounding error's.
      if (of.length === classes) return aten.zeros_like(one);
      if (of.length === 1) return one;
      // Not by an index: a CUDA graph cannot copy one to the device.
      return aten.logsumexp(
        cat(
          of.map((id) => logProbability.narrow(1, id, 1)),
          1,
        ),
        [1],
        true,
      );
    };
    const isPlain = candidates.length === classes && candidates.every((of, id) => of.length === 1 && of[0] === id);
    const logSums = isPlain ? logProbability : cat(candidates.map(logSum), 1);
    const chosen = aten.gather(logSums, 1, target.unsqueeze(1)).squeeze(1);
    // Above zero: there the power's gradient is infinite where gamma is below 1.
    const doubt = chosen.exp().neg().add(1).clamp(SMALLEST_DOUBT).pow(gamma);
    return doubt.mul(chosen).mul(aten.take(weights, target)).mean().neg();
  });
}
