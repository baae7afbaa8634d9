import type { Tensor } from '../tensor.js';

/** Whether the fused operators of `native/` take a tensor; the others go through LibTorch's. */
export function hasKernel(input: Tensor): boolean {
  return (
    input.device === 'cpu' &&
    input.dtype !== 'float16' &&
    input.shape.length === 4 &&
    input.isContiguous('channels_last')
  );
}
