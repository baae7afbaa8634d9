export { autocast, enableGrad, grad, noGrad } from './autograd.js';
export { CudaGraph, Graphed, peakMemory, synchronize, type LeftBeside } from './cuda.js';
export { gradCheck } from './grad-check.js';
export { aten, observe, operator, schemas, type Observer, type Operator } from './operators.js';
export { profile, type ProfileRow } from './profile.js';
export {
  bfloat16On,
  cudaAvailable,
  libtorchInfo,
  manualSeed,
  memoryStats,
  numThreads,
  rngState,
  setNumThreads,
  setRngState,
} from './runtime.js';
export { keep, tidy } from './scope.js';
export { loadStateFile, loadTensors, loadTorchCheckpoint, saveTensors } from './tensor-file.js';
export {
  arange,
  cat,
  empty,
  fromBytes,
  fromTypedArray,
  full,
  ones,
  rand,
  randn,
  stack,
  tensor,
  zeros,
  type NestedNumbers,
} from './create.js';
export { Tensor, type Dtype, type MemoryFormat, type Scalar, type TensorOptions, type TypedArray } from './tensor.js';
