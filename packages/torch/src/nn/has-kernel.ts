import { native } from '../native.js';
import type { Tensor } from '../tensor.js';

let cudaKernels: boolean | undefined;

function hasDevice(device: string): boolean {
  return device === 'cpu' || (device.startsWith('cuda') && (cudaKernels ??= native.info().cudaKernels));
}

/** Whether the fused operators of `native/` take a tensor; the others go through LibTorch's. */
export function hasKernel(input: Tensor): boolean {
  return (
    hasDevice(input.device) &&
    input.dtype !== 'float16' &&
    input.shape.length === 4 &&
    input.isContiguous('channels_last')
  );
}
