export { isTracedTensor, trace, type Trace, type TracedArgument, type TracedTensor } from '../trace.js';
export { compile, type CompiledNetwork, type CompileOptions } from './compile.js';
export { foldBatchNorms } from './fuse.js';
export {
  convolutionInputs,
  observeConvolutions,
  stepsOf,
  type Convolution,
  type Normalization,
  type Plain,
  type Step,
} from './graph.js';
