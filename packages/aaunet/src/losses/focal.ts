import { aten, tidy, type Tensor } from '@aaunet/torch';

/** Far below 1 - p of any p < 1 in float32. */
const SMALLEST_DOUBT = 1e-12;

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
  return tidy(() => {
    const wide = logits.dtype === 'float64' ? logits : logits.to('float32');
    const index = target.unsqueeze(1);
    const logProbability = aten.gather(wide.logSoftmax(1), 1, index).squeeze(1);
    const weight = aten.take(weights, target);
    // Above zero: there the power's gradient is infinite where gamma is below 1.
    const doubt = logProbability.exp().neg().add(1).clamp(SMALLEST_DOUBT).pow(gamma);
    return doubt.mul(logProbability).mul(weight).mean().neg();
  });
}
