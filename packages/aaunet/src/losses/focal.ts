import type { Tensor } from '@aaunet/torch';
import * as nn from '@aaunet/torch/nn';

/**
 * Class-weighted focal loss (Lin et al. 2017, arXiv:1708.02002, eq. 5): the mean over all pixels of
 * -w[y] (1 - p[y])^gamma log p[y], p the softmax over classes, computed in float32 or better.
 *
 * @param logits N x C x H x W
 * @param target class of each pixel, N x H x W, int64
 * @param weights one for each class, C, in the type the loss is computed in
 * @returns a scalar
 */
export function focalLoss(logits: Tensor, target: Tensor, weights: Tensor, gamma = 2): Tensor {
  const candidates = Array.from({ length: logits.size(1) }, (_, id) => [id]);
  return nn.focalLoss(logits, target, { weights, candidates, gamma });
}
