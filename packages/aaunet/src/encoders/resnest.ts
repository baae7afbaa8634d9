import { tidy, type Tensor } from '@aaunet/torch';
import {
  AvgPool2d,
  BatchNorm2d,
  Conv2d,
  Identity,
  kaimingNormal_,
  Layer,
  MaxPool2d,
  Module,
  ReLU,
  Sequential,
} from '@aaunet/torch/nn';

import { residualStages, stageChannels } from '../layers/residual.js';
import { SplitAttention } from '../layers/split-attention.js';
import type { Encoder } from './encoder.js';

/** Variants: blocks of the four stages and width of the stem, as in timm. */
export const RESNEST = {
  resnest14: { blocks: [1, 1, 1, 1], stemWidth: 32 },
  resnest26: { blocks: [2, 2, 2, 2], stemWidth: 32 },
  resnest50: { blocks: [3, 4, 6, 3], stemWidth: 32 },
  resnest101: { blocks: [3, 4, 23, 3], stemWidth: 64 },
} as const satisfies Record<string, { blocks: readonly [number, number, number, number]; stemWidth: number }>;

export type ResNeStName = keyof typeof RESNEST;

/** Bottleneck of ResNeSt-D: 1x1, split attention, (average pooling in place of a stride,) 1x1; ReLU after the sum. */
class Bottleneck extends Layer {
  static readonly expansion = 4;

  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: SplitAttention;
  readonly avd_last: AvgPool2d | null;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly downsample: Sequential | null;

  constructor(inChannels: number, width: number, stride = 1) {
    super();
    const outChannels = width * Bottleneck.expansion;
    this.conv1 = new Conv2d(inChannels, width, 1, { bias: false });
    this.bn1 = new BatchNorm2d(width);
    this.conv2 = new SplitAttention(width, width);
    this.avd_last = stride > 1 ? new AvgPool2d(3, { stride, padding: 1 }) : null;
    this.conv3 = new Conv2d(width, outChannels, 1, { bias: false });
    this.bn3 = new BatchNorm2d(outChannels);
    this.downsample =
      stride > 1 || inChannels !== outChannels
        ? new Sequential(
            stride > 1 ? new AvgPool2d(2, { stride, ceilMode: true, countIncludePad: false }) : new Identity(),
            new Conv2d(inChannels, outChannels, 1, { bias: false }),
            new BatchNorm2d(outChannels),
          )
        : null;
  }

  override forward(input: Tensor): Tensor {
    return tidy(() => {
      let output = this.bn1.forwardReLU(this.conv1.forward(input));
      output = this.conv2.forward(output);
      if (this.avd_last) output = this.avd_last.forward(output);
      return this.bn3.forwardReLU(this.conv3.forward(output), this.downsample?.forward(input) ?? input);
    });
  }
}

/**
 * ResNeSt (Zhang et al. 2020, arXiv:2004.08955) with the deep stem: N x C x H x W to features of 64, 256, 512, 1024 and 2048
 * channels at strides 2, 4, 8, 16 and 32. State-dict keys are those of timm's `resnest50d`.
 */
export class ResNeSt extends Module implements Encoder {
  readonly channels: readonly number[];
  readonly strides = [2, 4, 8, 16, 32];
  readonly conv1: Sequential;
  readonly bn1: BatchNorm2d;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  private readonly maxpool = new MaxPool2d(3, { stride: 2, padding: 1 });

  constructor(name: ResNeStName, inChannels = 3) {
    super();
    const { blocks, stemWidth } = RESNEST[name];
    const stemOut = stemWidth * 2;
    this.conv1 = new Sequential(
      new Conv2d(inChannels, stemWidth, 3, { stride: 2, padding: 1, bias: false }),
      new BatchNorm2d(stemWidth),
      new ReLU(),
      new Conv2d(stemWidth, stemWidth, 3, { padding: 1, bias: false }),
      new BatchNorm2d(stemWidth),
      new ReLU(),
      new Conv2d(stemWidth, stemOut, 3, { padding: 1, bias: false }),
    );
    this.bn1 = new BatchNorm2d(stemOut);
    this.channels = [stemOut, ...stageChannels(Bottleneck)];
    [this.layer1, this.layer2, this.layer3, this.layer4] = residualStages(Bottleneck, stemOut, blocks);
    this.initialise();
  }

  forward(image: Tensor): Tensor[] {
    return tidy(() => {
      const stem = this.bn1.forwardReLU(this.conv1.forward(image));
      const features = [stem];
      let output = this.maxpool.forward(stem);
      for (const layer of [this.layer1, this.layer2, this.layer3, this.layer4]) {
        output = layer.forward(output);
        features.push(output);
      }
      return features;
    });
  }

  /** As timm: He's normal by fan out; the last normalisation of each block starts at zero, so that blocks start as identity. */
  private initialise(): void {
    for (const [, module] of this.modules()) {
      if (module instanceof Conv2d) kaimingNormal_(module.weight, 'fanOut');
      if (module instanceof Bottleneck) module.bn3.weight.detach().zero_().dispose();
    }
  }
}
