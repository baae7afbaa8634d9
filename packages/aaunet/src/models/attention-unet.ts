import { tidy, type Tensor } from '@aaunet/torch';
import {
  BatchNorm2d,
  concatenateResized,
  Conv2d,
  Layer,
  MaxPool2d,
  Module,
  ReLU,
  Sequential,
  Sigmoid,
  Upsample,
} from '@aaunet/torch/nn';

/** Channels from the image's resolution down to a sixteenth of it. */
const CHANNELS = [64, 128, 256, 512, 1024] as const;

const convNormReLU = (inChannels: number, outChannels: number): [Conv2d, BatchNorm2d, ReLU] => [
  new Conv2d(inChannels, outChannels, 3, { padding: 1 }),
  new BatchNorm2d(outChannels),
  new ReLU(),
];

/** Twice a 3x3 convolution, batch normalisation and ReLU: N x in x H x W to N x out x H x W. */
class DoubleConv extends Layer {
  readonly conv: Sequential;

  constructor(inChannels: number, outChannels: number) {
    super();
    this.conv = new Sequential(...convNormReLU(inChannels, outChannels), ...convNormReLU(outChannels, outChannels));
  }

  override forward(input: Tensor): Tensor {
    return tidy(() => this.conv.forward(input));
  }
}

/** Enlarge twofold (nearest), 3x3 convolution, batch normalisation, ReLU: N x in x H x W to N x out x 2H x 2W. */
class Enlarge extends Layer {
  readonly up: Sequential;

  constructor(inChannels: number, outChannels: number) {
    super();
    this.up = new Sequential(
      new Upsample({ scaleFactor: 2, mode: 'nearest' }),
      ...convNormReLU(inChannels, outChannels),
    );
  }

  override forward(input: Tensor): Tensor {
    return tidy(() => this.up.forward(input));
  }
}

/**
 * Attention gate (Oktay et al. 2018, arXiv:1804.03999, fig. 2): a map in [0, 1], from the skip and the decoder's gate at the
 * same resolution, scales the skip. Both N x C x H x W.
 */
class AttentionGate extends Module {
  readonly W_g: Sequential;
  readonly W_x: Sequential;
  readonly psi: Sequential;

  constructor(channels: number, hidden: number) {
    super();
    this.W_g = new Sequential(new Conv2d(channels, hidden, 1), new BatchNorm2d(hidden));
    this.W_x = new Sequential(new Conv2d(channels, hidden, 1), new BatchNorm2d(hidden));
    this.psi = new Sequential(new Conv2d(hidden, 1, 1), new BatchNorm2d(1), new Sigmoid());
  }

  forward(gate: Tensor, skip: Tensor): Tensor {
    return tidy(() => {
      const hidden = this.W_g.forwardReLU(gate, this.W_x.forward(skip));
      return skip.mul(this.psi.forward(hidden));
    });
  }
}

/**
 * Attention U-Net (Oktay et al. 2018, arXiv:1804.03999) in the widely used form AttU_Net, whose state-dict keys it has.
 * N x C x H x W (H and W multiples of 16) to N x classes x H x W.
 */
export class AttentionUNet extends Layer {
  /** From the image's resolution down: Conv1 … Conv5. */
  private readonly descent: DoubleConv[];
  /** From the coarsest up: Up5, Att5, Up_conv5 … Up2, Att2, Up_conv2. */
  private readonly ascent: { up: Enlarge; attention: AttentionGate; conv: DoubleConv }[];
  private readonly head: Conv2d;
  private readonly pool = new MaxPool2d(2);

  constructor({ inChannels, classes }: { inChannels: number; classes: number }) {
    super();
    this.descent = CHANNELS.map((channels, level) => new DoubleConv(CHANNELS[level - 1] ?? inChannels, channels));
    this.ascent = [3, 2, 1, 0].map((level) => {
      const channels = CHANNELS[level]!;
      return {
        up: new Enlarge(CHANNELS[level + 1]!, channels),
        attention: new AttentionGate(channels, channels / 2),
        conv: new DoubleConv(2 * channels, channels),
      };
    });
    this.head = new Conv2d(CHANNELS[0], classes, 1);
  }

  override *children(): Iterable<[string, Module]> {
    for (const [level, conv] of this.descent.entries()) yield [`Conv${level + 1}`, conv];
    for (const [index, { up, attention, conv }] of this.ascent.entries()) {
      const number = CHANNELS.length - index;
      yield [`Up${number}`, up];
      yield [`Att${number}`, attention];
      yield [`Up_conv${number}`, conv];
    }
    yield ['Conv_1x1', this.head];
  }

  override forward(image: Tensor): Tensor {
    return tidy(() => {
      const skips: Tensor[] = [];
      for (const [level, conv] of this.descent.entries())
        skips.push(tidy(() => conv.forward(level === 0 ? image : this.pool.forward(skips[level - 1]!))));
      let output = skips.pop()!;
      for (const { up, attention, conv } of this.ascent) {
        const skip = skips.pop()!;
        const below = output;
        output = tidy(() => {
          const enlarged = up.forward(below);
          return conv.forward(concatenateResized([attention.forward(enlarged, skip), enlarged]));
        });
      }
      return this.head.forward(output);
    });
  }
}
