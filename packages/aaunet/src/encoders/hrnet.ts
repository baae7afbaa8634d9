import { aten, tidy, type Tensor } from '@aaunet/torch';
import { BatchNorm2d, Conv2d, Identity, kaimingNormal_, Layer, Module, Sequential, Upsample } from '@aaunet/torch/nn';

import { ConvBatchNormReLU } from '../layers/conv-batch-norm-relu.js';
import { BasicBlock, Bottleneck, residualStage } from '../layers/residual.js';
import type { Encoder } from './encoder.js';

/** Variants: channels of the finest branch; each coarser branch has twice as many. */
export const HRNET = { 'hrnet-w18': 18, 'hrnet-w32': 32, 'hrnet-w48': 48 } as const satisfies Record<string, number>;

export type HRNetName = keyof typeof HRNET;

/** Modules of the stages with two, three and four branches. */
const MODULES = [1, 4, 3] as const;
const BLOCKS = 4;
const STEM_CHANNELS = 64;

/** Layers numbered in the state dict, to be run one by one. */
class Numbered<L extends Module> extends Module {
  constructor(readonly layers: readonly L[]) {
    super();
  }

  override *children(): Iterable<[string, Module]> {
    for (const [index, layer] of this.layers.entries()) yield [String(index), layer];
  }
}

/** Brings branch `from` to the channels and resolution of branch `to`. */
function exchange(channels: readonly number[], from: number, to: number): Layer {
  if (from === to) return new Identity();
  const [inChannels, outChannels] = [channels[from]!, channels[to]!];
  if (from > to)
    return new Sequential(
      new Conv2d(inChannels, outChannels, 1, { bias: false }),
      new BatchNorm2d(outChannels),
      new Upsample({ scaleFactor: 2 ** (from - to), mode: 'nearest' }),
    );
  const halvings = Array.from(
    { length: to - from - 1 },
    () => new ConvBatchNormReLU(inChannels, inChannels, { stride: 2 }),
  );
  const last = new Sequential(
    new Conv2d(inChannels, outChannels, 3, { stride: 2, padding: 1, bias: false }),
    new BatchNorm2d(outChannels),
  );
  return new Sequential(...halvings, last);
}

/** Four residual blocks on every branch, then every branch receives the sum of all (Wang et al. 2020, fig. 3). */
class HighResolutionModule extends Module {
  readonly branches: Sequential[];
  readonly fuse_layers: Numbered<Layer>[];

  constructor(channels: readonly number[]) {
    super();
    this.branches = channels.map((width) => residualStage(BasicBlock, { inChannels: width, width, count: BLOCKS }));
    this.fuse_layers = channels.map((_, to) => new Numbered(channels.map((__, from) => exchange(channels, from, to))));
  }

  forward(inputs: readonly Tensor[]): Tensor[] {
    return tidy(() => {
      const outputs = this.branches.map((branch, index) => branch.forward(inputs[index]!));
      return this.fuse_layers.map(({ layers }) =>
        tidy(() => {
          const [first, second, ...others] = layers.map((layer, from) => layer.forward(outputs[from]!));
          // The first sum is a new tensor: its terms may be the branches themselves.
          const sum = first!.add(second!);
          for (const other of others) sum.add_(other);
          return aten.relu_(sum);
        }),
      );
    });
  }
}

/** Adds a branch: each one already there keeps its resolution, the new one halves that of the coarsest. */
function transition(before: readonly number[], after: readonly number[]): Layer[] {
  return after.map((channels, index) => {
    if (index >= before.length) return new Sequential(new ConvBatchNormReLU(before.at(-1)!, channels, { stride: 2 }));
    return before[index] === channels ? new Identity() : new ConvBatchNormReLU(before[index]!, channels);
  });
}

const through = (layers: readonly Layer[], inputs: readonly Tensor[]): Tensor[] =>
  layers.map((layer, index) => layer.forward(inputs[index] ?? inputs.at(-1)!));

/**
 * HRNet (Wang et al. 2020, arXiv:1908.07919): N x C x H x W to four features at strides 4, 8, 16 and 32, of 18, 36, 72 and 144
 * channels for `hrnet-w18`. State-dict keys are timm's.
 */
export class HRNet extends Module implements Encoder {
  readonly channels: readonly number[];
  readonly strides = [4, 8, 16, 32];
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly layer1: Sequential;
  readonly transition1: Layer[];
  readonly stage2: HighResolutionModule[];
  readonly transition2: Layer[];
  readonly stage3: HighResolutionModule[];
  readonly transition3: Layer[];
  readonly stage4: HighResolutionModule[];

  constructor(name: HRNetName, inChannels = 3) {
    super();
    this.channels = this.strides.map((_, index) => HRNET[name] * 2 ** index);
    const branches = (count: number): readonly number[] => this.channels.slice(0, count);
    const stage = (index: 0 | 1 | 2): HighResolutionModule[] =>
      Array.from({ length: MODULES[index] }, () => new HighResolutionModule(branches(index + 2)));
    this.conv1 = new Conv2d(inChannels, STEM_CHANNELS, 3, { stride: 2, padding: 1, bias: false });
    this.bn1 = new BatchNorm2d(STEM_CHANNELS);
    this.conv2 = new Conv2d(STEM_CHANNELS, STEM_CHANNELS, 3, { stride: 2, padding: 1, bias: false });
    this.bn2 = new BatchNorm2d(STEM_CHANNELS);
    this.layer1 = residualStage(Bottleneck, { inChannels: STEM_CHANNELS, width: STEM_CHANNELS, count: BLOCKS });
    this.transition1 = transition([STEM_CHANNELS * Bottleneck.expansion], branches(2));
    this.stage2 = stage(0);
    this.transition2 = transition(branches(2), branches(3));
    this.stage3 = stage(1);
    this.transition3 = transition(branches(3), branches(4));
    this.stage4 = stage(2);
    // As timm: He's normal by fan out.
    for (const [, module] of this.modules()) if (module instanceof Conv2d) kaimingNormal_(module.weight, 'fanOut');
  }

  forward(image: Tensor): Tensor[] {
    return tidy(() => {
      const stem = tidy(() => {
        const half = this.bn1.forwardReLU(this.conv1.forward(image));
        return this.layer1.forward(this.bn2.forwardReLU(this.conv2.forward(half)));
      });
      let branches = [stem];
      for (const [enter, modules] of [
        [this.transition1, this.stage2],
        [this.transition2, this.stage3],
        [this.transition3, this.stage4],
      ] as const) {
        branches = through(enter, branches);
        for (const module of modules) branches = module.forward(branches);
      }
      return branches;
    });
  }
}
