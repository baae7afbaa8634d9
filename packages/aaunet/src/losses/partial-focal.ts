import { aten, fromTypedArray, keep, tidy, type Tensor } from '@aaunet/torch';
import { CLASS_COUNT } from '@aaunet/imaging';

import { typeIds, unmarkedTypes, type Annotation } from '../datasets/annotation.js';
import { focalLoss } from './focal.js';

/** Classes that a voxel may belong to, by its label. */
export interface CandidateClasses {
  /** Of background: 0 and the types that the data set does not mark. */
  readonly background: readonly number[];
  /** Of the label of unknown type (8); empty: any class. */
  readonly unknown: readonly number[];
}

/** What the labels of a data set allow. */
export function candidateClasses(annotation: Annotation): CandidateClasses {
  return { background: [0, ...unmarkedTypes(annotation)], unknown: typeIds(annotation.untyped) };
}

/** Far below 1 - q of any q < 1 in float32. */
const SMALLEST_DOUBT = 1e-12;

/**
 * Focal loss for labels that leave open which of several classes a voxel is (marginal loss: Fang & Yan 2020,
 * arXiv:2001.00349; Shi et al. 2021, arXiv:2007.03868): the mean over all pixels of -w[y] (1 - q)^gamma log q, where q is
 * the sum of the probabilities of label y's candidates. Types that the data set does not mark are candidates of
 * background, so that they are neither learnt from it nor driven out of it; a label of such a type counts as background.
 * A voxel that may be any class adds 0 to the loss and to every gradient. The mean is over all pixels, so what a pixel
 * adds does not depend on how many others are unknown. Where every label has one candidate this is {@link focalLoss}.
 *
 * @param logits N x C x H x W
 * @param target label of each pixel, N x H x W, int64, 0 to C (C: unknown)
 * @param weights one for each label, C + 1, in the type the loss is computed in
 * @returns a scalar
 */
export function partialFocalLoss(
  logits: Tensor,
  target: Tensor,
  weights: Tensor,
  candidates: CandidateClasses,
  gamma = 2,
): Tensor {
  return tidy(() => {
    const wide = logits.dtype === 'float64' ? logits : logits.to('float32');
    const classes = wide.size(1);
    const logProbability = wide.logSoftmax(1);
    // Certain, and a constant: no gradient, not even a rounding error's.
    const anything = aten.zeros_like(logProbability.narrow(1, 0, 1));
    const logSum = (of: readonly number[]): Tensor => {
      if (of.length === 0 || of.length === classes) return anything;
      if (of.length === 1) return logProbability.narrow(1, of[0]!, 1);
      // Not by an index: a CUDA graph cannot copy one to the device.
      const candidates = aten.cat(
        of.map((id) => logProbability.narrow(1, id, 1)),
        1,
      );
      return aten.logsumexp(candidates, [1], true);
    };
    const background = logSum(candidates.background);
    const byLabel = Array.from({ length: classes }, (_, label) =>
      candidates.background.includes(label) ? background : logSum([label]),
    );
    const logSums = aten.cat([...byLabel, logSum(candidates.unknown)], 1);
    const chosen = aten.gather(logSums, 1, target.unsqueeze(1)).squeeze(1);
    const doubt = chosen.exp().neg().add(1).clamp(SMALLEST_DOUBT).pow(gamma);
    return doubt.mul(chosen).mul(aten.take(weights, target)).mean().neg();
  });
}

/** A loss with everything fixed but the network's answer and the truth. */
export interface Criterion extends Disposable {
  /** @param logits N x C x H x W @param target N x H x W, int64 @returns a scalar */
  readonly of: (logits: Tensor, target: Tensor) => Tensor;
}

/**
 * The loss for a data set: {@link focalLoss} where it marks every type by name, else {@link partialFocalLoss}. A voxel of
 * unknown type weighs as much as its candidates do in the mean.
 *
 * @param weights one for each class
 */
export function focalCriterion(
  annotation: Annotation,
  weights: readonly number[],
  options: { readonly gamma: number; readonly device: string; readonly dtype?: 'float32' | 'float64' },
): Criterion {
  const { gamma, device, dtype = 'float32' } = options;
  const candidates = candidateClasses(annotation);
  const isComplete = candidates.background.length === 1 && !annotation.hasUnknown;
  const unknown = candidates.unknown.reduce((sum, id) => sum + weights[id]! / candidates.unknown.length, 0);
  const values = isComplete ? weights : [...weights.slice(0, CLASS_COUNT), unknown];
  const exact = dtype === 'float64' ? Float64Array.from(values) : Float32Array.from(values);
  const kept = keep(fromTypedArray(exact, [values.length], { device }));
  return {
    of: (logits, target) =>
      isComplete ? focalLoss(logits, target, kept, gamma) : partialFocalLoss(logits, target, kept, candidates, gamma),
    [Symbol.dispose]: () => {
      kept.dispose();
    },
  };
}
