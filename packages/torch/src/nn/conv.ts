import { autocast } from '../autograd.js';
import { aten } from '../operators.js';
import { tidy } from '../scope.js';
import { empty } from '../create.js';
import type { Tensor } from '../tensor.js';
import { defaultUniform_ } from './init.js';
import { Layer, parameter } from './module.js';

export interface Conv2dOptions {
  stride?: number;
  padding?: number;
  dilation?: number;
  groups?: number;
  bias?: boolean;
}

/** 2-D convolution with square kernels: N x in x H x W to N x out x H' x W'. */
export class Conv2d extends Layer {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  private readonly options: Required<Omit<Conv2dOptions, 'bias'>>;

  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    readonly kernelSize: number,
    options: Conv2dOptions = {},
  ) {
    super();
    const { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true } = options;
    if (inChannels % groups !== 0 || outChannels % groups !== 0)
      throw new RangeError(
        `Conv2d: ${groups} groups must divide ${inChannels} input and ${outChannels} output channels.`,
      );
    this.options = { stride, padding, dilation, groups };
    this.weight = parameter(empty([outChannels, inChannels / groups, kernelSize, kernelSize]));
    this.bias = bias ? parameter(empty([outChannels])) : null;
    defaultUniform_(this.weight, this.bias);
  }

  override forward(input: Tensor): Tensor {
    return this.corruptsTheHeapInBfloat16(input) ? this.inFloat32(input) : this.convolve(input, this.weight, this.bias);
  }

  override forwardReLU(input: Tensor, residual: Tensor | null = null): Tensor {
    return tidy(() => {
      const output = this.forward(input);
      return aten.relu_(residual ? output.add_(residual) : output);
    });
  }

  private convolve(input: Tensor, weight: Tensor, bias: Tensor | null): Tensor {
    const { stride, padding, dilation, groups } = this.options;
    return aten.conv2d(input, weight, bias, stride, padding, dilation, groups);
  }

  /**
   * oneDNN 3.12's bfloat16 AMX kernel for 1x1 convolutions writes out of bounds with more than 2048 input and fewer than
   * 16 output channels; PyTorch crashes the same way.
   */
  private corruptsTheHeapInBfloat16(input: Tensor): boolean {
    return this.kernelSize === 1 && this.inChannels > 2048 && this.outChannels < 16 && input.device === 'cpu';
  }

  private inFloat32(input: Tensor): Tensor {
    const widen = (tensor: Tensor): Tensor => (tensor.dtype === 'bfloat16' ? tensor.to('float32') : tensor);
    return autocast({ device: 'cpu', enabled: false }, () =>
      this.convolve(widen(input), widen(this.weight), this.bias && widen(this.bias)),
    );
  }
}
