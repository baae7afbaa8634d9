import { fromTypedArray, keep, type Tensor } from '@aaunet/torch';
import * as nn from '@aaunet/torch/nn';
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
  { background, unknown }: CandidateClasses,
  gamma = 2,
): Tensor {
  const classes = Array.from({ length: logits.size(1) }, (_, id) => id);
  const byClass = classes.map((id) => (background.includes(id) ? background : [id]));
  const candidates = [...byClass, unknown.length > 0 ? unknown : classes];
  return nn.focalLoss(logits, target, { weights, candidates, gamma });
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
