// The part of the package that computes: importing it needs LibTorch, importing 'aaunet' does not.
export { bench, type BenchOptions, type BenchResult } from './bench.js';
export { AllAttentionDecoder, type AttentionOptions } from './decoders/all-attention.js';
export type { Encoder } from './encoders/encoder.js';
export { RESNEST, ResNeSt, type ResNeStName } from './encoders/resnest.js';
export { evaluateRun, type EvaluateOptions } from './evaluation/evaluate.js';
export { loadEngine, type EngineOptions, type SegmentationEngine } from './inference/engine.js';
export { predict, type PredictOptions, type PredictResult } from './inference/predict.js';
export { focalLoss } from './losses/focal.js';
export { AllAttentionUNet } from './models/all-attention-unet.js';
export {
  buildModel,
  listModels,
  MODEL_NAMES,
  MODELS,
  type ModelName,
  type ModelSummary,
  type NetworkOptions,
} from './models/registry.js';
export { train, type TrainEvent, type TrainOptions, type TrainResult } from './training/train.js';
