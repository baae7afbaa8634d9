import { aten, tidy, type Tensor } from '@aaunet/torch';
import { BatchNorm2d, Conv2d, imageMean, Layer, weighSplits } from '@aaunet/torch/nn';

/**
 * Split attention with two splits (Zhang et al. 2020, ResNeSt, arXiv:2004.08955, fig. 2): one grouped convolution makes
 * both splits, a softmax over the two weighs them channel by channel, and their weighted sum is the output.
 * N x in x H x W to N x out x H x W; parameter names are timm's.
 */
export class SplitAttention extends Layer {
  private static readonly radix = 2;

  readonly conv: Conv2d;
  readonly bn0: BatchNorm2d;
  readonly fc1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly fc2: Conv2d;

  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
  ) {
    super();
    const { radix } = SplitAttention;
    const attention = Math.max(32, Math.round((inChannels * radix) / 4 / 8) * 8);
    this.conv = new Conv2d(inChannels, outChannels * radix, 3, { padding: 1, groups: radix, bias: false });
    this.bn0 = new BatchNorm2d(outChannels * radix);
    this.fc1 = new Conv2d(outChannels, attention, 1);
    this.bn1 = new BatchNorm2d(attention);
    this.fc2 = new Conv2d(attention, outChannels * radix, 1);
  }

  override forward(input: Tensor): Tensor {
    return tidy(() => {
      const { radix } = SplitAttention;
      const splits = this.bn0.forwardReLU(this.conv.forward(input));
      const [first, second] = aten.split.Tensor(imageMean(splits), this.outChannels, 1) as [Tensor, Tensor];
      const hidden = this.bn1.forwardReLU(this.fc1.forward(first.add(second)));
      const scores = this.fc2.forward(hidden).reshape(input.size(0), radix, this.outChannels);
      return weighSplits(splits, scores.softmax(1), radix);
    });
  }
}
