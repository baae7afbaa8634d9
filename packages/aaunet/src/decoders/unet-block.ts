import { tidy, type Tensor } from '@aaunet/torch';
import { concatenateResized, Conv2d, kaimingUniform_, Module } from '@aaunet/torch/nn';

import { ConvBatchNormReLU } from '../layers/conv-batch-norm-relu.js';

/** Channels of the decoders' outputs from the coarsest to the finest, as in segmentation_models.pytorch. */
export const DECODER_CHANNELS = [256, 128, 64, 32, 16] as const;

/** Enlarge twofold (nearest), join the skips, two convolutions with batch normalisation and ReLU. */
export class UNetBlock extends Module {
  readonly conv1: ConvBatchNormReLU;
  readonly conv2: ConvBatchNormReLU;

  constructor(below: number, skip: number, out: number) {
    super();
    this.conv1 = new ConvBatchNormReLU(below + skip, out);
    this.conv2 = new ConvBatchNormReLU(out, out);
    for (const [, module] of this.modules()) if (module instanceof Conv2d) kaimingUniform_(module.weight);
  }

  /** below: N x B x H x W, skips: together N x S x 2H x 2W; returns N x out x 2H x 2W. */
  forward(below: Tensor, skips: readonly Tensor[] = []): Tensor {
    return tidy(() => {
      const size = [2 * below.size(2), 2 * below.size(3)] as const;
      const joined = concatenateResized([below, ...skips], { size, mode: 'nearest' });
      return this.conv2.forward(this.conv1.forward(joined));
    });
  }
}
