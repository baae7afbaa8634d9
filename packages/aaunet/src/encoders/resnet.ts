import { tidy, type Tensor } from '@aaunet/torch';
import { BatchNorm2d, Conv2d, kaimingNormal_, MaxPool2d, Module, type Sequential } from '@aaunet/torch/nn';

import { BasicBlock, Bottleneck, residualStages, stageChannels, type ResidualBlock } from '../layers/residual.js';
import type { Encoder } from './encoder.js';

interface Variant {
  block: ResidualBlock;
  blocks: readonly [number, number, number, number];
}

/** Variants: kind of block and blocks of the four stages (He et al. 2016, table 1). */
export const RESNET = {
  resnet18: { block: BasicBlock, blocks: [2, 2, 2, 2] },
  resnet34: { block: BasicBlock, blocks: [3, 4, 6, 3] },
  resnet50: { block: Bottleneck, blocks: [3, 4, 6, 3] },
  resnet101: { block: Bottleneck, blocks: [3, 4, 23, 3] },
} as const satisfies Record<string, Variant>;

export type ResNetName = keyof typeof RESNET;

const STEM_CHANNELS = 64;

/**
 * ResNet (He et al. 2016, arXiv:1512.03385): N x C x H x W to five features at strides 2, 4, 8, 16 and 32, of 64, 256, 512,
 * 1024 and 2048 channels for `resnet50`. State-dict keys are torchvision's.
 */
export class ResNet extends Module implements Encoder {
  readonly channels: readonly number[];
  readonly strides = [2, 4, 8, 16, 32];
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  private readonly maxpool = new MaxPool2d(3, { stride: 2, padding: 1 });

  constructor(name: ResNetName, inChannels = 3) {
    super();
    const { block, blocks }: Variant = RESNET[name];
    this.conv1 = new Conv2d(inChannels, STEM_CHANNELS, 7, { stride: 2, padding: 3, bias: false });
    this.bn1 = new BatchNorm2d(STEM_CHANNELS);
    this.channels = [STEM_CHANNELS, ...stageChannels(block)];
    [this.layer1, this.layer2, this.layer3, this.layer4] = residualStages(block, STEM_CHANNELS, blocks);
    // As torchvision: He's normal by fan out.
    for (const [, module] of this.modules()) if (module instanceof Conv2d) kaimingNormal_(module.weight, 'fanOut');
  }

  forward(image: Tensor): Tensor[] {
    const stem = tidy(() => this.bn1.forwardReLU(this.conv1.forward(image)));
    const features = [stem];
    let output = this.maxpool.forward(stem);
    for (const layer of [this.layer1, this.layer2, this.layer3, this.layer4]) {
      output = layer.forward(output);
      features.push(output);
    }
    return features;
  }
}
