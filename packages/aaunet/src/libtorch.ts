// The part of the package that computes: importing it needs LibTorch, importing 'aaunet' does not.
export { bench, type BenchOptions, type BenchResult } from './bench.js';
export { AllAttentionDecoder, type AttentionOptions } from './decoders/all-attention.js';
export { UNetDecoder } from './decoders/unet.js';
export { UNetPlusPlusDecoder } from './decoders/unetplusplus.js';
export { buildEncoder, ENCODER_NAMES, type EncoderName } from './encoders/build-encoder.js';
export { DENSENET, DenseNet, type DenseNetName } from './encoders/densenet.js';
export type { Encoder } from './encoders/encoder.js';
export { HRNET, HRNet, type HRNetName } from './encoders/hrnet.js';
export { RESNEST, ResNeSt, type ResNeStName } from './encoders/resnest.js';
export { RESNET, ResNet, type ResNetName } from './encoders/resnet.js';
export { evaluateRun, type EvaluateOptions } from './evaluation/evaluate.js';
export { exportModel, type ExportOptions, type ExportResult } from './export/export-model.js';
export { loadEngine, type EngineOptions, type SegmentationEngine } from './inference/engine.js';
export { predict, type PredictOptions, type PredictResult } from './inference/predict.js';
export { focalLoss } from './losses/focal.js';
export {
  candidateClasses,
  focalCriterion,
  partialFocalLoss,
  type CandidateClasses,
  type Criterion,
} from './losses/partial-focal.js';
export { AllAttentionUNet } from './models/all-attention-unet.js';
export { AttentionUNet } from './models/attention-unet.js';
export { EncoderDecoder, type Decoder } from './models/encoder-decoder.js';
export { HRNetSegmentation } from './models/hrnet-segmentation.js';
export { NestedUNet } from './models/nested-unet.js';
export {
  buildModel,
  listModels,
  MODEL_NAMES,
  MODELS,
  TABLE_I,
  type ModelName,
  type ModelSummary,
  type NetworkOptions,
} from './models/registry.js';
export type { TrainEvent } from './training/events.js';
export { train, type TrainOptions, type TrainResult } from './training/train.js';
export { compareRuns, readPaperFigures, type Comparison, type PaperFigures } from './comparison/comparison.js';
export { readComparedRun, type ComparedRun } from './comparison/compared-run.js';
export { formatComparison, type TableFormat } from './comparison/format.js';
export { reproduce, type ReproduceEvent, type ReproduceOptions, type ReproduceResult } from './comparison/reproduce.js';
export { locateWeights } from './weights/hub.js';
export { describeWeights, loadWeights, type WeightsReport } from './weights/load-weights.js';
