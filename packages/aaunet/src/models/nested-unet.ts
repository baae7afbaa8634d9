import { tidy, type Tensor } from '@aaunet/torch';
import { BatchNorm2d, concatenateResized, Conv2d, Layer, MaxPool2d, type Module } from '@aaunet/torch/nn';

/** Channels from the image's resolution down to a sixteenth of it. */
const CHANNELS = [32, 64, 128, 256, 512] as const;

/** Twice a 3x3 convolution, batch normalisation and ReLU: N x in x H x W to N x out x H x W. */
class DoubleConv extends Layer {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;

  constructor(inChannels: number, outChannels: number) {
    super();
    this.conv1 = new Conv2d(inChannels, outChannels, 3, { padding: 1 });
    this.bn1 = new BatchNorm2d(outChannels);
    this.conv2 = new Conv2d(outChannels, outChannels, 3, { padding: 1 });
    this.bn2 = new BatchNorm2d(outChannels);
  }

  override forward(input: Tensor): Tensor {
    return tidy(() => {
      const hidden = this.bn1.forwardReLU(this.conv1.forward(input));
      return this.bn2.forwardReLU(this.conv2.forward(hidden));
    });
  }
}

/**
 * The original UNet++ (Zhou et al. 2018, arXiv:1807.10165, fig. 1a) with batch normalisation and without deep supervision:
 * node (level, column) joins all earlier nodes of its level to the enlarged node of the level below.
 * N x C x H x W (H and W multiples of 16) to N x classes x H x W; state-dict keys are those of pytorch-nested-unet.
 */
export class NestedUNet extends Layer {
  /** Nodes by column and, within a column, level; a column is one level shorter than the one before. */
  private readonly columns: DoubleConv[][];
  readonly final: Conv2d;
  private readonly pool = new MaxPool2d(2);

  constructor({ inChannels, classes }: { inChannels: number; classes: number }) {
    super();
    this.columns = CHANNELS.map((_, column) =>
      CHANNELS.slice(0, CHANNELS.length - column).map((channels, level) => {
        const above = level === 0 ? inChannels : CHANNELS[level - 1]!;
        return new DoubleConv(column === 0 ? above : channels * column + CHANNELS[level + 1]!, channels);
      }),
    );
    this.final = new Conv2d(CHANNELS[0], classes, 1);
  }

  override *children(): Iterable<[string, Module]> {
    for (const [column, nodes] of this.columns.entries())
      for (const [level, node] of nodes.entries()) yield [`conv${level}_${column}`, node];
    yield ['final', this.final];
  }

  override forward(image: Tensor): Tensor {
    return tidy(() => {
      // outputs[level] grows by one node a column.
      const outputs: Tensor[][] = CHANNELS.map(() => []);
      for (const [column, nodes] of this.columns.entries())
        for (const [level, node] of nodes.entries())
          outputs[level]!.push(this.run(node, image, outputs, level, column));
      return this.final.forward(outputs[0]!.at(-1)!);
    });
  }

  private run(node: DoubleConv, image: Tensor, outputs: readonly Tensor[][], level: number, column: number): Tensor {
    return tidy(() => {
      if (column === 0) return node.forward(level === 0 ? image : this.pool.forward(outputs[level - 1]![0]!));
      const joined = [...outputs[level]!, outputs[level + 1]![column - 1]!];
      return node.forward(concatenateResized(joined, { mode: 'aligned' }));
    });
  }
}
