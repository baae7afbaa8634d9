import { aten, tidy, type Tensor } from '@aaunet/torch';
import { Conv2d, imageMean, Layer, weighSplits } from '@aaunet/torch/nn';

import { startOpen } from './open-gate.js';

/**
 * Channel attention by squeeze and excitation (Hu et al. 2018, arXiv:1709.01507, eq. 2-4): each channel is scaled by
 * sigmoid(fc2(relu(fc1(its mean over the image)))). N x C x H x W to the same.
 */
export class ChannelAttention extends Layer {
  readonly fc1: Conv2d;
  readonly fc2: Conv2d;

  constructor(channels: number, reduction = 16) {
    super();
    const hidden = Math.max(Math.floor(channels / reduction), 4);
    this.fc1 = new Conv2d(channels, hidden, 1);
    this.fc2 = new Conv2d(hidden, channels, 1);
    startOpen(this.fc2.bias!);
  }

  override forward(input: Tensor): Tensor {
    return tidy(() => {
      const squeezed = imageMean(input);
      const scale = aten.sigmoid(this.fc2.forward(aten.relu_(this.fc1.forward(squeezed))));
      return weighSplits(input, scale, 1);
    });
  }
}
