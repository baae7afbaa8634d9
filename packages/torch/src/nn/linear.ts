import { aten } from '../operators.js';
import { empty } from '../create.js';
import type { Tensor } from '../tensor.js';
import { defaultUniform_ } from './init.js';
import { Layer, parameter } from './module.js';

/** `x W^T + b` over the last dimension: ... x in to ... x out. */
export class Linear extends Layer {
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
    options: { bias?: boolean } = {},
  ) {
    super();
    this.weight = parameter(empty([outFeatures, inFeatures]));
    this.bias = (options.bias ?? true) ? parameter(empty([outFeatures])) : null;
    defaultUniform_(this.weight, this.bias);
  }

  override forward(input: Tensor): Tensor {
    return aten.linear(input, this.weight, this.bias);
  }
}
