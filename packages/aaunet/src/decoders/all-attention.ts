import { tidy, type Tensor } from '@aaunet/torch';
import { concatenateResized, Conv2d, Module, ReLU, Sequential } from '@aaunet/torch/nn';

import { ChannelAttention } from '../layers/channel-attention.js';
import { ConvNormReLU } from '../layers/conv-norm-relu.js';
import { SpaceAttention } from '../layers/space-attention.js';

export interface AttentionOptions {
  /** Space attention on the skip connections (the S of RSU+S). */
  space: boolean;
  /** Channel attention after each block (the C of RSU+C). */
  channel: boolean;
}

/** Channels of the skips at strides 1, 2, 4, 8, 16, 32 and of the blocks' outputs from the coarsest to the finest. */
const SKIP_CHANNELS = [16, 32, 64, 128, 256, 512] as const;
const BLOCK_CHANNELS = [256, 128, 64, 32, 16, 16] as const;

interface BlockOptions extends AttentionOptions {
  below: number;
  skip: number;
  out: number;
  upsample: boolean;
}

/** Attend to the skip, join it to what came from below, enlarge twofold, two convolutions, channel attention. */
class DecoderBlock extends Module {
  readonly space: SpaceAttention | null;
  readonly conv1: ConvNormReLU;
  readonly conv2: ConvNormReLU;
  readonly channel: ChannelAttention | null;
  private readonly factor: number;

  constructor({ below, skip, out, upsample, space, channel }: BlockOptions) {
    super();
    this.space = space && below > 0 ? new SpaceAttention(skip, below) : null;
    this.conv1 = new ConvNormReLU(below + skip, out);
    this.conv2 = new ConvNormReLU(out, out);
    this.channel = channel ? new ChannelAttention(out) : null;
    this.factor = upsample ? 2 : 1;
  }

  /** below: N x B x H x W or null for the coarsest block, skip: N x S x H x W; returns N x out x (2)H x (2)W. */
  forward(below: Tensor | null, skip: Tensor): Tensor {
    return tidy(() => {
      const inputs = below ? [below, this.space ? this.space.forward(skip, below) : skip] : [skip];
      const size = [this.factor * skip.size(2), this.factor * skip.size(3)] as const;
      const output = this.conv2.forward(this.conv1.forward(concatenateResized(inputs, { size })));
      return this.channel ? this.channel.forward(output) : output;
    });
  }
}

/**
 * The decoder of the All Attention U-Net (Chang et al. 2022, fig. 2): takes the image N x C x H x W and an encoder's five
 * features, returns N x 16 x H x W.
 */
export class AllAttentionDecoder extends Module {
  readonly outChannels = BLOCK_CHANNELS[5];
  readonly stem: Sequential;
  readonly skips: Sequential[];
  readonly blocks: DecoderBlock[];

  constructor(inChannels: number, encoderChannels: readonly number[], attention: AttentionOptions) {
    super();
    this.stem = new Sequential(
      new ConvNormReLU(inChannels, SKIP_CHANNELS[0]),
      new ConvNormReLU(SKIP_CHANNELS[0], SKIP_CHANNELS[0]),
    );
    this.skips = encoderChannels.map(
      (channels, index) => new Sequential(new Conv2d(channels, SKIP_CHANNELS[index + 1]!, 1), new ReLU()),
    );
    const skipsFromBelow = [...SKIP_CHANNELS].reverse();
    this.blocks = BLOCK_CHANNELS.map(
      (out, index) =>
        new DecoderBlock({
          below: index === 0 ? 0 : BLOCK_CHANNELS[index - 1]!,
          skip: skipsFromBelow[index]!,
          out,
          upsample: index < BLOCK_CHANNELS.length - 1,
          ...attention,
        }),
    );
  }

  forward(image: Tensor, features: readonly Tensor[]): Tensor {
    return tidy(() => {
      const skips = [
        this.stem.forward(image),
        ...this.skips.map((skip, index) => skip.forward(features[index]!)),
      ].reverse();
      let output: Tensor | null = null;
      for (const [index, block] of this.blocks.entries()) output = block.forward(output, skips[index]!);
      return output!;
    });
  }
}
