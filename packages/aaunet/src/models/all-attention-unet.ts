import { tidy, type Tensor } from '@aaunet/torch';
import { Conv2d, Layer, type Module } from '@aaunet/torch/nn';

import { AllAttentionDecoder, type AttentionOptions } from '../decoders/all-attention.js';
import type { Encoder } from '../encoders/encoder.js';

/**
 * The paper's network (Chang et al. 2022), there with a ResNeSt50 encoder: all-attention decoder, a 1x1 head.
 * N x 3 x H x W (three consecutive slices, H and W multiples of 32) to N x classes x H x W logits of the centre slice.
 */
export class AllAttentionUNet extends Layer {
  readonly decoder: AllAttentionDecoder;
  readonly head: Conv2d;

  constructor(
    readonly encoder: Encoder,
    options: AttentionOptions & { inChannels: number; classes: number },
  ) {
    super();
    this.decoder = new AllAttentionDecoder(options.inChannels, encoder.channels, options);
    this.head = new Conv2d(this.decoder.outChannels, options.classes, 1);
  }

  /** In the state dict the decoder's parts stand beside the encoder. */
  override *children(): Iterable<[string, Module]> {
    yield ['encoder', this.encoder];
    yield* this.decoder.children();
    yield ['head', this.head];
  }

  override forward(image: Tensor): Tensor {
    return tidy(() => this.head.forward(this.decoder.forward(image, this.encoder.forward(image))));
  }
}
