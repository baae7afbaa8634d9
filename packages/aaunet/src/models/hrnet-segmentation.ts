import { tidy, type Tensor } from '@aaunet/torch';
import { BatchNorm2d, concatenateResized, Conv2d, Layer, ReLU, Sequential, type Module } from '@aaunet/torch/nn';

import { HRNet, type HRNetName } from '../encoders/hrnet.js';

/**
 * HRNetV2 for segmentation (Wang et al. 2020, arXiv:1908.07919, fig. 4b): all branches at the resolution of the finest, a 1x1
 * convolution with batch normalisation and ReLU, a 1x1 convolution to logits at stride 4, enlarged to the image.
 * N x C x H x W (H and W multiples of 32) to N x classes x H x W; the backbone's state-dict keys stand beside `last_layer`.
 */
export class HRNetSegmentation extends Layer {
  readonly encoder: HRNet;
  readonly last_layer: Sequential;

  constructor(name: HRNetName, { inChannels, classes }: { inChannels: number; classes: number }) {
    super();
    this.encoder = new HRNet(name, inChannels);
    const channels = this.encoder.channels.reduce((sum, branch) => sum + branch, 0);
    this.last_layer = new Sequential(
      new Conv2d(channels, channels, 1),
      new BatchNorm2d(channels),
      new ReLU(),
      new Conv2d(channels, classes, 1),
    );
  }

  override *children(): Iterable<[string, Module]> {
    yield* this.encoder.children();
    yield ['last_layer', this.last_layer];
  }

  override forward(image: Tensor): Tensor {
    return tidy(() => {
      const logits = tidy(() => this.last_layer.forward(concatenateResized(this.encoder.forward(image))));
      return concatenateResized([logits], { size: [image.size(2), image.size(3)] });
    });
  }
}
