import { noGrad, observe, tidy, Tensor, zeros } from '@aaunet/torch';
import type { Layer } from '@aaunet/torch/nn';

import { AllAttentionUNet } from './all-attention-unet.js';

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

const rsu = (space: boolean, channel: boolean) => (options: NetworkOptions) =>
  new AllAttentionUNet({ ...options, space, channel });

/** Every network there is, by the name the command line knows. */
export const MODELS = {
  rsu: { description: 'ResNeSt50 encoder, U-Net decoder', reference: PAPER, build: rsu(false, false) },
  'rsu-s': { description: 'rsu with space attention', reference: PAPER, build: rsu(true, false) },
  'rsu-c': { description: 'rsu with channel attention', reference: PAPER, build: rsu(false, true) },
  'rsu-sc': { description: 'the All Attention U-Net', reference: PAPER, build: rsu(true, true) },
} as const satisfies Record<string, ModelEntry>;

export type ModelName = keyof typeof MODELS;

export const MODEL_NAMES = Object.keys(MODELS) as ModelName[];

export function isModelName(name: string): name is ModelName {
  return Object.hasOwn(MODELS, name);
}

/**
 * A network by name, with fresh weights from the default random generator.
 *
 * @throws naming the networks there are when there is none of that name.
 */
export function buildModel(name: string, options: NetworkOptions = { inChannels: 3, classes: 8 }): Layer {
  if (!isModelName(name)) throw new Error(`There is no network '${name}'; choose one of ${MODEL_NAMES.join(', ')}.`);
  return MODELS[name].build(options);
}

export interface ModelSummary {
  name: string;
  description: string;
  reference: string;
  parameters: number;
  /** Operations of one 512x512 image, a multiplication and an addition counted as two. */
  gflop: number;
}

/** The registry with each network's size and cost. */
export function listModels(): ModelSummary[] {
  return MODEL_NAMES.map((name) => {
    using network = buildModel(name).eval();
    const parameters = network.parameters().reduce((sum, parameter) => sum + parameter.numel, 0);
    const { description, reference } = MODELS[name];
    return { name, description, reference, parameters, gflop: countOperations(network, 512) / 1e9 };
  });
}

/** Pixels a side at which operations are counted before they are scaled: convolutions grow with the area. */
const COUNTED_SIZE = 64;

/** Floating-point operations of the convolutions of one image of `size` x `size`. */
function countOperations(network: Layer, size: number): number {
  let operations = 0;
  observe(
    (name, args, run) => {
      const result = run();
      if (name === 'aten::conv2d' && result instanceof Tensor) {
        const weight = args[1] as Tensor;
        const pooled = result.size(2) === 1 && result.size(3) === 1;
        const scale = pooled ? 1 : (size / COUNTED_SIZE) ** 2;
        operations += ((2 * result.numel * weight.numel) / weight.size(0)) * scale;
      }
      return result;
    },
    () => {
      tidy(() => noGrad(() => network.forward(zeros([1, 3, COUNTED_SIZE, COUNTED_SIZE])))).dispose();
    },
  );
  return operations;
}
