import { noGrad } from '../autograd.js';
import { aten, operator } from '../operators.js';
import { tidy } from '../scope.js';
import { full, ones, zeros } from '../create.js';
import type { Tensor } from '../tensor.js';
import { hasNormalization } from './has-kernel.js';
import { buffer, Layer, parameter } from './module.js';

/**
 * Batch normalisation over N, H, W (Ioffe & Szegedy 2015, arXiv:1502.03167) with running statistics for inference.
 *
 * @throws in training where a channel has one value alone: its variance would make the running one NaN for good.
 */
export class BatchNorm2d extends Layer {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly running_mean: Tensor;
  readonly running_var: Tensor;
  readonly num_batches_tracked: Tensor;
  readonly eps: number;
  readonly momentum: number;
  /** Whether the statistics are those of all processes of the group (see `synchronizeBatchNorm`). */
  synchronized = false;

  constructor(
    readonly channels: number,
    options: { eps?: number; momentum?: number } = {},
  ) {
    super();
    this.eps = options.eps ?? 1e-5;
    this.momentum = options.momentum ?? 0.1;
    this.weight = parameter(ones([channels]));
    this.bias = parameter(zeros([channels]));
    this.running_mean = buffer(zeros([channels]));
    this.running_var = buffer(ones([channels]));
    this.num_batches_tracked = buffer(zeros([], { dtype: 'int64' }));
  }

  override forward(input: Tensor): Tensor {
    return this.normalize(input, null, false);
  }

  override forwardReLU(input: Tensor, residual: Tensor | null = null): Tensor {
    return this.normalize(input, residual, true);
  }

  private normalize(input: Tensor, residual: Tensor | null, relu: boolean): Tensor {
    if (this.training) {
      if (input.numel <= this.channels && !this.synchronized)
        throw new RangeError(
          `BatchNorm2d: training needs more than one value a channel, got [${input.shape.join(', ')}]; use a batch of at least 2.`,
        );
      noGrad(() => this.num_batches_tracked.add_(1));
    }
    const { weight, bias, running_mean, running_var, training, momentum, eps, synchronized } = this;
    const isCombined = synchronized && training;
    if (hasNormalization(input, weight, residual) && !(isCombined && input.device !== 'cpu'))
      return operator('aaunet::batch_norm')(
        ...[input, weight, bias, running_mean, running_var, residual, training, momentum, eps, relu, synchronized],
      ) as Tensor;
    return tidy(() => {
      const output = isCombined
        ? this.normalizeOverGroup(input)
        : aten.batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, true);
      if (residual) output.add_(residual);
      return relu ? aten.relu_(output) : output;
    });
  }

  /** With the kernel's formula in LibTorch's operators: what takes no kernel is on a CUDA device or in another layout. */
  private normalizeOverGroup(input: Tensor): Tensor {
    const column = (values: Tensor): Tensor => values.reshape(1, this.channels, 1, 1);
    const wide = input.dtype === 'float64' ? input : input.to('float32');
    const sumOf = operator('aaunet::group_sum') as (values: Tensor) => Tensor;
    const local = input.numel / this.channels;
    const values = noGrad(() => Number(sumOf(full([], local, { dtype: 'float64', device: input.device })).item()));
    const mean = sumOf(wide.sum([0, 2, 3])).mul(1 / values);
    const centred = wide.sub(column(mean));
    const variance = sumOf(centred.pow(2).sum([0, 2, 3])).mul(1 / values);
    noGrad(() => {
      this.running_mean.mul_(1 - this.momentum).add_(mean.mul(this.momentum));
      this.running_var.mul_(1 - this.momentum).add_(variance.mul((this.momentum * values) / (values - 1)));
    });
    const scale = variance.add(this.eps).pow(-0.5).mul(this.weight);
    return centred.mul(column(scale)).add(column(this.bias)).to(input.dtype);
  }
}

/** Group normalisation (Wu & He 2018, arXiv:1803.08494). */
export class GroupNorm extends Layer {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly eps: number;

  constructor(
    readonly groups: number,
    readonly channels: number,
    options: { eps?: number } = {},
  ) {
    super();
    if (channels % groups !== 0) throw new RangeError(`GroupNorm: ${groups} groups must divide ${channels} channels.`);
    this.eps = options.eps ?? 1e-5;
    this.weight = parameter(ones([channels]));
    this.bias = parameter(zeros([channels]));
  }

  override forward(input: Tensor): Tensor {
    return this.normalize(input, null, false);
  }

  override forwardReLU(input: Tensor, residual: Tensor | null = null): Tensor {
    return this.normalize(input, residual, true);
  }

  private normalize(input: Tensor, residual: Tensor | null, relu: boolean): Tensor {
    const { groups, weight, bias, eps } = this;
    if (hasNormalization(input, weight, residual))
      return operator('aaunet::group_norm')(input, groups, weight, bias, residual, eps, relu) as Tensor;
    return tidy(() => {
      const output = aten.group_norm(input, groups, weight, bias, eps, true);
      if (residual) output.add_(residual);
      return relu ? aten.relu_(output) : output;
    });
  }
}

/** Normalises every channel of every image by itself (Ulyanov et al. 2016, arXiv:1607.08022), with scale and shift. */
export class InstanceNorm2d extends Layer {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly eps: number;

  constructor(
    readonly channels: number,
    options: { eps?: number } = {},
  ) {
    super();
    this.eps = options.eps ?? 1e-5;
    this.weight = parameter(ones([channels]));
    this.bias = parameter(zeros([channels]));
  }

  override forward(input: Tensor): Tensor {
    return aten.instance_norm(input, this.weight, this.bias, null, null, true, 0.1, this.eps, true);
  }
}
