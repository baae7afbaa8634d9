import { tidy, type Tensor } from '@aaunet/torch';
import { BatchNorm2d, Conv2d, Layer, Sequential } from '@aaunet/torch/nn';

/** A residual block: input channels, width of its 3x3 convolution, stride. */
export interface ResidualBlock {
  new (inChannels: number, width: number, stride?: number): Layer;
  /** Output channels as a multiple of the width. */
  readonly expansion: number;
}

/** The shortcut of a block that changes its input's shape; null for one that does not. */
function projection(inChannels: number, outChannels: number, stride: number): Sequential | null {
  return stride === 1 && inChannels === outChannels
    ? null
    : new Sequential(new Conv2d(inChannels, outChannels, 1, { stride, bias: false }), new BatchNorm2d(outChannels));
}

/** Two 3x3 convolutions and a shortcut (He et al. 2016, arXiv:1512.03385, fig. 5 left): N x in x H x W to N x width x H/s x W/s. */
export class BasicBlock extends Layer {
  static readonly expansion = 1;

  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly downsample: Sequential | null;

  constructor(inChannels: number, width: number, stride = 1) {
    super();
    this.conv1 = new Conv2d(inChannels, width, 3, { stride, padding: 1, bias: false });
    this.bn1 = new BatchNorm2d(width);
    this.conv2 = new Conv2d(width, width, 3, { padding: 1, bias: false });
    this.bn2 = new BatchNorm2d(width);
    this.downsample = projection(inChannels, width, stride);
  }

  override forward(input: Tensor): Tensor {
    return tidy(() => {
      const hidden = this.bn1.forwardReLU(this.conv1.forward(input));
      return this.bn2.forwardReLU(this.conv2.forward(hidden), this.downsample?.forward(input) ?? input);
    });
  }
}

/**
 * 1x1, 3x3 (with the stride) and 1x1 convolutions and a shortcut (He et al. 2016, arXiv:1512.03385, fig. 5 right):
 * N x in x H x W to N x 4 width x H/s x W/s.
 */
export class Bottleneck extends Layer {
  static readonly expansion = 4;

  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly downsample: Sequential | null;

  constructor(inChannels: number, width: number, stride = 1) {
    super();
    const outChannels = width * Bottleneck.expansion;
    this.conv1 = new Conv2d(inChannels, width, 1, { bias: false });
    this.bn1 = new BatchNorm2d(width);
    this.conv2 = new Conv2d(width, width, 3, { stride, padding: 1, bias: false });
    this.bn2 = new BatchNorm2d(width);
    this.conv3 = new Conv2d(width, outChannels, 1, { bias: false });
    this.bn3 = new BatchNorm2d(outChannels);
    this.downsample = projection(inChannels, outChannels, stride);
  }

  override forward(input: Tensor): Tensor {
    return tidy(() => {
      let hidden = this.bn1.forwardReLU(this.conv1.forward(input));
      hidden = this.bn2.forwardReLU(this.conv2.forward(hidden));
      return this.bn3.forwardReLU(this.conv3.forward(hidden), this.downsample?.forward(input) ?? input);
    });
  }
}

/** `count` blocks one after another, the first with the stride. */
export function residualStage(
  Block: ResidualBlock,
  options: { inChannels: number; width: number; count: number; stride?: number },
): Sequential {
  const { inChannels, width, count, stride = 1 } = options;
  return new Sequential(
    ...Array.from({ length: count }, (_, index) =>
      index === 0 ? new Block(inChannels, width, stride) : new Block(width * Block.expansion, width),
    ),
  );
}

type Four<T> = readonly [T, T, T, T];

/** Widths of the four stages of a residual network (He et al. 2016, table 1); all but the first halve the image. */
const WIDTHS = [64, 128, 256, 512] as const;

/** Output channels of the four stages. */
export function stageChannels(Block: ResidualBlock): number[] {
  return WIDTHS.map((width) => width * Block.expansion);
}

/** The four stages of a residual network, of `counts` blocks, after a stem of `inChannels`. */
export function residualStages(Block: ResidualBlock, inChannels: number, counts: Four<number>): Four<Sequential> {
  const inputs = [inChannels, ...stageChannels(Block)];
  const stage = (i: 0 | 1 | 2 | 3): Sequential =>
    residualStage(Block, { inChannels: inputs[i]!, width: WIDTHS[i], count: counts[i], stride: i === 0 ? 1 : 2 });
  return [stage(0), stage(1), stage(2), stage(3)];
}
