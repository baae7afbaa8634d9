import type { Tensor } from '@aaunet/torch';
import type { Module } from '@aaunet/torch/nn';

/**
 * The contract between encoders and decoders: for an image N x C x H x W (H, W multiples of the last stride) `forward`
 * returns one feature map a stage, from fine to coarse, the i-th with `channels[i]` channels at H / `strides[i]`.
 */
export interface Encoder extends Module {
  readonly channels: readonly number[];
  readonly strides: readonly number[];
  forward(image: Tensor): Tensor[];
}
