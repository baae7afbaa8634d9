import { tidy, type Tensor } from '@aaunet/torch';
import { Module } from '@aaunet/torch/nn';

import { DECODER_CHANNELS, UNetBlock } from './unet-block.js';

/**
 * The decoder of the U-Net (Ronneberger et al. 2015, arXiv:1505.04597) as segmentation_models.pytorch has it: takes an
 * encoder's five features, from fine to coarse, returns N x 16 x H x W.
 */
export class UNetDecoder extends Module {
  readonly outChannels = DECODER_CHANNELS[4];
  readonly blocks: UNetBlock[];

  constructor(encoderChannels: readonly number[]) {
    super();
    const [coarsest = 0, ...skips] = [...encoderChannels].reverse();
    this.blocks = DECODER_CHANNELS.map(
      (out, index) => new UNetBlock(index === 0 ? coarsest : DECODER_CHANNELS[index - 1]!, skips[index] ?? 0, out),
    );
  }

  forward(features: readonly Tensor[]): Tensor {
    return tidy(() => {
      const [coarsest, ...skips] = [...features].reverse();
      let output = coarsest!;
      for (const [index, block] of this.blocks.entries()) output = block.forward(output, skips.slice(index, index + 1));
      return output;
    });
  }
}
