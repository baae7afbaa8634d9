import { aten, operator } from '../operators.js';
import { tidy } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { hasKernel } from './has-kernel.js';

const CUDA_RADICES: ReadonlySet<number> = new Set([1, 2, 4]);

/** Mean over H and W: N x C x H x W to N x C x 1 x 1. */
export function imageMean(input: Tensor): Tensor {
  return hasKernel(input) ? (operator('aaunet::image_mean')(input) as Tensor) : aten.mean.dim(input, [2, 3], true);
}

/**
 * Sum of the `radix` splits of the channels, each channel times its weight: N x (radix C) x H x W and weights of
 * N x (radix C) values in any shape to N x C x H x W. With a radix of 1 every channel is scaled.
 */
export function weighSplits(input: Tensor, weights: Tensor, radix: number): Tensor {
  const hasRadix = input.device === 'cpu' || CUDA_RADICES.has(radix);
  if (hasKernel(input) && hasRadix) return operator('aaunet::weigh_splits')(input, weights, radix) as Tensor;
  return tidy(() => {
    // Splits are added one by one: LibTorch's sum over a middle dimension of a channels-last tensor is slow.
    const weighed = input.mul(weights.to(input.dtype).reshape(input.size(0), input.size(1), 1, 1));
    const [first, ...others] = aten.split.Tensor(weighed, input.size(1) / radix, 1) as [Tensor, ...Tensor[]];
    return others.reduce((sum, split) => sum.add(split), first);
  });
}

/** Every pixel times its weight: N x C x H x W and N x 1 x H x W to N x C x H x W. */
export function weighPixels(input: Tensor, weights: Tensor): Tensor {
  if (hasKernel(input) && input.device === 'cpu') return operator('aaunet::weigh_pixels')(input, weights) as Tensor;
  return tidy(() => input.mul(weights.to(input.dtype)));
}
