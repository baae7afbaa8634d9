import { native } from '../native.js';
import type { Dtype, Tensor } from '../tensor.js';

let cudaKernels: boolean | undefined;

function hasDevice(device: string): boolean {
  return device === 'cpu' || (device.startsWith('cuda') && (cudaKernels ??= native.info().cudaKernels));
}

const DTYPES: ReadonlySet<Dtype> = new Set(['bfloat16', 'float32', 'float64']);

/** Whether the fused operators of `native/` take a tensor; the others go through LibTorch's. */
export function hasKernel(input: Tensor): boolean {
  return (
    hasDevice(input.device) &&
    DTYPES.has(input.dtype) &&
    input.shape.length === 4 &&
    input.numel > 0 &&
    input.isContiguous('channels_last')
  );
}

/** The same of normalisation, whose parameters are in float32 at least and whose residual is as the input is. */
export function hasNormalization(input: Tensor, parameter: Tensor, residual: Tensor | null): boolean {
  return (
    hasKernel(input) &&
    parameter.dtype === (input.dtype === 'float64' ? 'float64' : 'float32') &&
    (residual === null || (residual.dtype === input.dtype && residual.shape.join() === input.shape.join()))
  );
}
