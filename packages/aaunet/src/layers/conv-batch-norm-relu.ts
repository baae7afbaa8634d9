import { BatchNorm2d, Conv2d, ReLU, Sequential } from '@aaunet/torch/nn';

/**
 * Square convolution at the input's size (halved by `stride` 2), batch normalisation, ReLU: N x in x H x W to
 * N x out x H x W.
 */
export class ConvBatchNormReLU extends Sequential<readonly [Conv2d, BatchNorm2d, ReLU]> {
  constructor(inChannels: number, outChannels: number, options: { stride?: number; bias?: boolean } = {}) {
    const { stride = 1, bias = false } = options;
    super(
      new Conv2d(inChannels, outChannels, 3, { stride, padding: 1, bias }),
      new BatchNorm2d(outChannels),
      new ReLU(),
    );
  }
}
