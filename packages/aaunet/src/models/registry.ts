import { noGrad, observe, tidy, zeros, type Tensor } from '@aaunet/torch';
import { withoutInitialisation, type Layer } from '@aaunet/torch/nn';

import { UNetDecoder } from '../decoders/unet.js';
import { UNetPlusPlusDecoder } from '../decoders/unetplusplus.js';
import { buildEncoder, ENCODER_NAMES, type EncoderName } from '../encoders/build-encoder.js';
import { HRNET, type HRNetName } from '../encoders/hrnet.js';
import { AllAttentionUNet } from './all-attention-unet.js';
import { AttentionUNet } from './attention-unet.js';
import { EncoderDecoder } from './encoder-decoder.js';
import { HRNetSegmentation } from './hrnet-segmentation.js';
import { NestedUNet } from './nested-unet.js';

export interface NetworkOptions {
  /** Consecutive slices a prediction sees. */
  inChannels: number;
  /** Background and lesion types. */
  classes: number;
}

interface ModelEntry {
  description: string;
  reference: string;
  build: (options: NetworkOptions) => Layer;
}

const PAPER = 'Chang et al., BioCAS 2022';
const SMP = 'segmentation_models.pytorch';

const rsu =
  (encoder: EncoderName, space: boolean, channel: boolean) =>
  ({ inChannels, classes }: NetworkOptions): Layer =>
    new AllAttentionUNet(buildEncoder(encoder, inChannels), { inChannels, classes, space, channel });

const hrnet = (name: HRNetName): ModelEntry => ({
  description: `HRNet of width ${HRNET[name]}, HRNetV2 head`,
  reference: 'Wang et al., arXiv:1908.07919',
  build: (options) => new HRNetSegmentation(name, options),
});

/** Networks that are not simply an encoder and a decoder. */
const NAMED = {
  unetplusplus: {
    description: 'the original UNet++, 32 to 512 channels',
    reference: 'Zhou et al., arXiv:1807.10165',
    build: (options) => new NestedUNet(options),
  },
  'attention-unet': {
    description: 'Attention U-Net, 64 to 1024 channels',
    reference: 'Oktay et al., arXiv:1804.03999',
    build: (options) => new AttentionUNet(options),
  },
  'hrnet-w18': hrnet('hrnet-w18'),
  'hrnet-w32': hrnet('hrnet-w32'),
  'hrnet-w48': hrnet('hrnet-w48'),
  rsu: { description: 'ResNeSt50 encoder, U-Net decoder', reference: PAPER, build: rsu('resnest50', false, false) },
  'rsu-s': { description: 'rsu with space attention', reference: PAPER, build: rsu('resnest50', true, false) },
  'rsu-c': { description: 'rsu with channel attention', reference: PAPER, build: rsu('resnest50', false, true) },
  'rsu-sc': { description: 'the All Attention U-Net', reference: PAPER, build: rsu('resnest50', true, true) },
} as const satisfies Record<string, ModelEntry>;

interface DecoderEntry {
  title: string;
  reference: string;
  onto: (encoder: EncoderName) => (options: NetworkOptions) => Layer;
}

/** Decoders that every encoder of `ENCODER_NAMES` takes: together `<encoder>-<decoder>`. */
const DECODERS = {
  unet: {
    title: 'U-Net',
    reference: SMP,
    onto:
      (name) =>
      ({ inChannels, classes }) => {
        const encoder = buildEncoder(name, inChannels);
        return new EncoderDecoder(encoder, new UNetDecoder(encoder.channels), classes);
      },
  },
  unetplusplus: {
    title: 'UNet++',
    reference: SMP,
    onto:
      (name) =>
      ({ inChannels, classes }) => {
        const encoder = buildEncoder(name, inChannels);
        return new EncoderDecoder(encoder, new UNetPlusPlusDecoder(encoder.channels), classes);
      },
  },
  'all-attention': { title: 'all-attention', reference: PAPER, onto: (name) => rsu(name, true, true) },
} as const satisfies Record<string, DecoderEntry>;

type DecoderName = keyof typeof DECODERS;
type ComposedName = `${EncoderName}-${DecoderName}`;

export type ModelName = keyof typeof NAMED | ComposedName;

const COMPOSED = Object.fromEntries(
  ENCODER_NAMES.flatMap((encoder) =>
    Object.entries<DecoderEntry>(DECODERS).map(([decoder, { title, reference, onto }]) => [
      `${encoder}-${decoder}`,
      { description: `${encoder} encoder, ${title} decoder`, reference, build: onto(encoder) },
    ]),
  ),
) as Record<ComposedName, ModelEntry>;

/** The nine networks that the paper compares, in the order of its Table I. */
export const TABLE_I = [
  'resnet50-unet',
  'densenet121-unet',
  'unetplusplus',
  'attention-unet',
  'hrnet-w48',
  'rsu',
  'rsu-s',
  'rsu-c',
  'rsu-sc',
] as const satisfies ModelName[];

/** Every network there is, by the name the command line knows. */
export const MODELS: Readonly<Record<ModelName, ModelEntry>> = { ...NAMED, ...COMPOSED };

/** Table I's networks first. */
export const MODEL_NAMES = [...new Set<ModelName>([...TABLE_I, ...(Object.keys(MODELS) as ModelName[])])];

export function isModelName(name: string): name is ModelName {
  return Object.hasOwn(MODELS, name);
}

/** The name, known to be one. @throws Error of one sentence where there is no such network. */
export function checkedModelName(name: string): ModelName {
  if (!isModelName(name)) throw new Error(`There is no network '${name}'; choose one of ${MODEL_NAMES.join(', ')}.`);
  return name;
}

/**
 * A network by name, with fresh weights from the default random generator.
 *
 * @throws naming the networks there are when there is none of that name.
 */
export function buildModel(name: string, options: NetworkOptions = { inChannels: 3, classes: 8 }): Layer {
  return MODELS[checkedModelName(name)].build(options);
}

export interface ModelSummary {
  name: string;
  description: string;
  reference: string;
  parameters: number;
  /** Operations of one 512x512 image, a multiplication and an addition counted as two. */
  gflop: number;
}

/** Table I's networks and the others with a name of their own; encoders compose to several dozen more. */
const FEATURED = [...new Set<ModelName>([...TABLE_I, ...(Object.keys(NAMED) as ModelName[]), 'resnet50-unetplusplus'])];

/** Networks with their size and cost, which takes building each: the featured ones, or `all` that compose. */
export function listModels({ all = false } = {}): ModelSummary[] {
  return (all ? MODEL_NAMES : FEATURED).map(summarizeModel);
}

/** A network's size and cost, which takes building it. @throws naming the networks there are when there is none of that name. */
export function summarizeModel(name: string): ModelSummary {
  using network = withoutInitialisation(() => buildModel(name)).eval();
  const parameters = network.parameters().reduce((sum, parameter) => sum + parameter.numel, 0);
  const { description, reference } = MODELS[name as ModelName];
  return { name, description, reference, parameters, gflop: countOperations(network, 512) / 1e9 };
}

/** Pixels a side at which operations are counted before they are scaled: convolutions grow with the area. */
const COUNTED_SIZE = 64;

/**
 * Floating-point operations of the convolutions of one image of `size` x `size`. The convolutions themselves are not run:
 * their shapes are enough.
 */
function countOperations(network: Layer, size: number): number {
  let operations = 0;
  observe(
    (name, args, run) => {
      if (name !== 'aten::conv2d') return run();
      const [input, weight, , stride, padding, dilation] = args as [Tensor, Tensor, unknown, number, number, number];
      const [rows, columns] = [2, 3].map(
        (dim) => Math.floor((input.size(dim) + 2 * padding - dilation * (weight.size(dim) - 1) - 1) / stride) + 1,
      ) as [number, number];
      const result = zeros([input.size(0), weight.size(0), rows, columns]);
      const scale = rows === 1 && columns === 1 ? 1 : (size / COUNTED_SIZE) ** 2;
      operations += ((2 * result.numel * weight.numel) / weight.size(0)) * scale;
      return result;
    },
    () => {
      tidy(() => noGrad(() => network.forward(zeros([1, 3, COUNTED_SIZE, COUNTED_SIZE])))).dispose();
    },
  );
  return operations;
}
