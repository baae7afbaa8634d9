import { tidy, type Tensor } from '@aaunet/torch';
import { Conv2d, Layer, Sequential, xavierUniform_, type Module } from '@aaunet/torch/nn';

import type { Encoder } from '../encoders/encoder.js';

/** Takes an encoder's features, from fine to coarse, to N x outChannels x H x W. */
export interface Decoder extends Module {
  readonly outChannels: number;
  forward(features: readonly Tensor[]): Tensor;
}

/**
 * Encoder, decoder and a 3x3 convolution to the logits, with segmentation_models.pytorch's state-dict keys.
 * N x C x H x W (H and W multiples of 32) to N x classes x H x W.
 */
export class EncoderDecoder<E extends Encoder = Encoder, D extends Decoder = Decoder> extends Layer {
  readonly segmentation_head: Sequential;

  constructor(
    readonly encoder: E,
    readonly decoder: D,
    classes: number,
  ) {
    super();
    const head = new Conv2d(decoder.outChannels, classes, 3, { padding: 1 });
    xavierUniform_(head.weight);
    head.bias!.detach().zero_().dispose();
    this.segmentation_head = new Sequential(head);
  }

  override forward(image: Tensor): Tensor {
    return tidy(() => this.segmentation_head.forward(this.decoder.forward(this.encoder.forward(image))));
  }
}
