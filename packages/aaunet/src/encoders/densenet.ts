import { tidy, type Tensor } from '@aaunet/torch';
import {
  AvgPool2d,
  BatchNorm2d,
  concatenateResized,
  Conv2d,
  kaimingNormal_,
  Layer,
  MaxPool2d,
  Module,
} from '@aaunet/torch/nn';

import type { Encoder } from './encoder.js';

/** Variants: layers of the four dense blocks (Huang et al. 2017, table 1). */
export const DENSENET = {
  densenet121: [6, 12, 24, 16],
  densenet169: [6, 12, 32, 32],
  densenet201: [6, 12, 48, 32],
} as const satisfies Record<string, readonly [number, number, number, number]>;

export type DenseNetName = keyof typeof DENSENET;

const STEM_CHANNELS = 64;
/** Channels that each layer adds. */
const GROWTH = 32;
/** Width of a layer's 1x1 convolution as a multiple of the growth. */
const BOTTLENECK = 4;

/** Norm, ReLU, 1x1 convolution, norm, ReLU, 3x3 convolution: N x in x H x W to N x 32 x H x W. */
class DenseLayer extends Layer {
  readonly norm1: BatchNorm2d;
  readonly conv1: Conv2d;
  readonly norm2: BatchNorm2d;
  readonly conv2: Conv2d;

  constructor(inChannels: number) {
    super();
    const hidden = BOTTLENECK * GROWTH;
    this.norm1 = new BatchNorm2d(inChannels);
    this.conv1 = new Conv2d(inChannels, hidden, 1, { bias: false });
    this.norm2 = new BatchNorm2d(hidden);
    this.conv2 = new Conv2d(hidden, GROWTH, 3, { padding: 1, bias: false });
  }

  override forward(input: Tensor): Tensor {
    return tidy(() => {
      const hidden = this.conv1.forward(this.norm1.forwardReLU(input));
      return this.conv2.forward(this.norm2.forwardReLU(hidden));
    });
  }
}

/** Layers each of which sees the block's input and all layers before it; the output is all of them side by side. */
class DenseBlock extends Layer {
  private readonly layers: DenseLayer[];
  readonly outChannels: number;

  constructor(inChannels: number, count: number) {
    super();
    this.layers = Array.from({ length: count }, (_, index) => new DenseLayer(inChannels + index * GROWTH));
    this.outChannels = inChannels + count * GROWTH;
  }

  /** In the state dict the layers are counted from one. */
  override *children(): Iterable<[string, Module]> {
    for (const [index, layer] of this.layers.entries()) yield [`denselayer${index + 1}`, layer];
  }

  override forward(input: Tensor): Tensor {
    return tidy(() => {
      // Joined anew for each layer, in training and in backward: kept, they would take memory by the square of the layers (Pleiss et al.
      // 2017, arXiv:1707.06990).
      const features = [input];
      for (const layer of this.layers)
        features.push(tidy(() => layer.forward(features.length > 1 ? concatenateResized(features) : input)));
      return concatenateResized(features);
    });
  }
}

/** Norm and ReLU, whose output is the stage's feature; then half the channels by a 1x1 convolution and half the size. */
class Transition extends Module {
  readonly norm: BatchNorm2d;
  readonly conv: Conv2d;
  private readonly pool = new AvgPool2d(2);

  constructor(inChannels: number) {
    super();
    this.norm = new BatchNorm2d(inChannels);
    this.conv = new Conv2d(inChannels, inChannels / 2, 1, { bias: false });
  }

  forward(input: Tensor): { feature: Tensor; output: Tensor } {
    return tidy(() => {
      const feature = this.norm.forwardReLU(input);
      return { feature, output: this.pool.forward(this.conv.forward(feature)) };
    });
  }
}

/** What torchvision calls `features`. */
class DenseFeatures extends Module {
  readonly channels: readonly number[];
  readonly conv0: Conv2d;
  readonly norm0: BatchNorm2d;
  readonly denseblock1: DenseBlock;
  readonly transition1: Transition;
  readonly denseblock2: DenseBlock;
  readonly transition2: Transition;
  readonly denseblock3: DenseBlock;
  readonly transition3: Transition;
  readonly denseblock4: DenseBlock;
  readonly norm5: BatchNorm2d;
  private readonly pool0 = new MaxPool2d(3, { stride: 2, padding: 1 });

  constructor(name: DenseNetName, inChannels: number) {
    super();
    const counts = DENSENET[name];
    this.conv0 = new Conv2d(inChannels, STEM_CHANNELS, 7, { stride: 2, padding: 3, bias: false });
    this.norm0 = new BatchNorm2d(STEM_CHANNELS);
    this.denseblock1 = new DenseBlock(STEM_CHANNELS, counts[0]);
    this.transition1 = new Transition(this.denseblock1.outChannels);
    this.denseblock2 = new DenseBlock(this.denseblock1.outChannels / 2, counts[1]);
    this.transition2 = new Transition(this.denseblock2.outChannels);
    this.denseblock3 = new DenseBlock(this.denseblock2.outChannels / 2, counts[2]);
    this.transition3 = new Transition(this.denseblock3.outChannels);
    this.denseblock4 = new DenseBlock(this.denseblock3.outChannels / 2, counts[3]);
    this.norm5 = new BatchNorm2d(this.denseblock4.outChannels);
    const blocks = [this.denseblock1, this.denseblock2, this.denseblock3, this.denseblock4];
    this.channels = [STEM_CHANNELS, ...blocks.map(({ outChannels }) => outChannels)];
  }

  forward(image: Tensor): Tensor[] {
    return tidy(() => {
      const stem = this.norm0.forwardReLU(this.conv0.forward(image));
      const features = [stem];
      let output = this.pool0.forward(stem);
      for (const [block, transition] of [
        [this.denseblock1, this.transition1],
        [this.denseblock2, this.transition2],
        [this.denseblock3, this.transition3],
      ] as const) {
        const stage = transition.forward(block.forward(output));
        features.push(stage.feature);
        output = stage.output;
      }
      features.push(this.norm5.forward(this.denseblock4.forward(output)));
      return features;
    });
  }
}

/**
 * DenseNet (Huang et al. 2017, arXiv:1608.06993): N x C x H x W to five features at strides 2, 4, 8, 16 and 32, of 64, 256, 512,
 * 1024 and 1024 channels for `densenet121`. As in segmentation_models.pytorch the features are taken where a transition has
 * normalised a block's output, and the last one after `norm5`. State-dict keys are torchvision's.
 */
export class DenseNet extends Module implements Encoder {
  readonly channels: readonly number[];
  readonly strides = [2, 4, 8, 16, 32];
  readonly features: DenseFeatures;

  constructor(name: DenseNetName, inChannels = 3) {
    super();
    this.features = new DenseFeatures(name, inChannels);
    this.channels = this.features.channels;
    // As torchvision: He's normal by fan in.
    for (const [, module] of this.modules()) if (module instanceof Conv2d) kaimingNormal_(module.weight, 'fanIn');
  }

  forward(image: Tensor): Tensor[] {
    return this.features.forward(image);
  }
}
