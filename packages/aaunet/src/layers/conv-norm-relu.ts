import { Conv2d, GroupNorm, ReLU, Sequential } from '@aaunet/torch/nn';

/** The groups of every group normalisation: four channels a group and at most 32 groups; one group below 16 channels. */
export function groupNorm(channels: number): GroupNorm {
  return new GroupNorm(channels >= 16 ? Math.min(32, channels / 4) : 1, channels);
}

/** 3x3 convolution without bias, group normalisation, ReLU: N x in x H x W to N x out x H x W. */
export class ConvNormReLU extends Sequential<readonly [Conv2d, GroupNorm, ReLU]> {
  constructor(inChannels: number, outChannels: number) {
    super(new Conv2d(inChannels, outChannels, 3, { padding: 1, bias: false }), groupNorm(outChannels), new ReLU());
  }
}
