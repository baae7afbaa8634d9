export { Identity, ReLU, Sigmoid, Softmax } from './activation.js';
export { Conv2d, type Conv2dOptions } from './conv.js';
export { focalLoss, type FocalLossOptions } from './focal-loss.js';
export {
  defaultUniform_,
  kaimingNormal_,
  kaimingUniform_,
  uniform_,
  withoutInitialisation,
  xavierUniform_,
} from './init.js';
export { Linear } from './linear.js';
export { buffer, Layer, Module, parameter, type LoadReport } from './module.js';
export { BatchNorm2d, GroupNorm, InstanceNorm2d } from './norm.js';
export { Sequential } from './sequential.js';
export {
  AvgPool2d,
  concatenateResized,
  GlobalAvgPool2d,
  MaxPool2d,
  Upsample,
  type PoolOptions,
  type ResizeMode,
} from './resample.js';
export { imageMean, weighPixels, weighSplits } from './weigh.js';
