import { DENSENET, DenseNet, type DenseNetName } from './densenet.js';
import type { Encoder } from './encoder.js';
import { RESNEST, ResNeSt, type ResNeStName } from './resnest.js';
import { RESNET, ResNet, type ResNetName } from './resnet.js';

/** Encoders with features at strides 2, 4, 8, 16 and 32, which every decoder takes. */
export type EncoderName = ResNetName | DenseNetName | ResNeStName;

export const ENCODER_NAMES = [RESNET, DENSENET, RESNEST].flatMap(Object.keys) as EncoderName[];

const isResNet = (name: EncoderName): name is ResNetName => Object.hasOwn(RESNET, name);
const isDenseNet = (name: EncoderName): name is DenseNetName => Object.hasOwn(DENSENET, name);

/** An encoder by name, with fresh weights from the default random generator. */
export function buildEncoder(name: EncoderName, inChannels = 3): Encoder {
  if (isResNet(name)) return new ResNet(name, inChannels);
  if (isDenseNet(name)) return new DenseNet(name, inChannels);
  return new ResNeSt(name, inChannels);
}
