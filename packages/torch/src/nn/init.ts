import { noGrad } from '../autograd.js';
import { aten } from '../operators.js';
import type { Tensor } from '../tensor.js';

/** Inputs and outputs of one unit of a weight `[out, in, ...kernel]`. */
function fans(weight: Tensor): { fanIn: number; fanOut: number } {
  const [outputs = 1, inputs = 1, ...kernel] = weight.shape;
  const field = kernel.reduce((product, size) => product * size, 1);
  return { fanIn: inputs * field, fanOut: outputs * field };
}

let initialising = true;

/**
 * Runs `body`, in which new layers leave their weights as the memory happens to be: for networks whose weights are loaded
 * next, or only counted.
 */
export function withoutInitialisation<R>(body: () => R): R {
  const before = initialising;
  initialising = false;
  try {
    return body();
  } finally {
    initialising = before;
  }
}

export function uniform_(tensor: Tensor, low: number, high: number): Tensor {
  if (initialising)
    noGrad(() => {
      aten.uniform_(tensor, low, high).dispose();
    });
  return tensor;
}

/**
 * PyTorch's default for convolutions and linear layers: uniform with bound 1/sqrt(fan in), which is Kaiming's with a
 * negative slope of sqrt(5).
 */
export function defaultUniform_(weight: Tensor, bias: Tensor | null): void {
  const bound = 1 / Math.sqrt(fans(weight).fanIn);
  uniform_(weight, -bound, bound);
  if (bias) uniform_(bias, -bound, bound);
}

/** Normal with variance 2 / fan (He et al. 2015, arXiv:1502.01852), for weights before a ReLU. */
export function kaimingNormal_(weight: Tensor, mode: 'fanIn' | 'fanOut' = 'fanOut'): void {
  if (!initialising) return;
  noGrad(() => {
    aten.normal_(weight, 0, Math.sqrt(2 / fans(weight)[mode])).dispose();
  });
}

/** Uniform with variance 2 / fan in (He et al. 2015, arXiv:1502.01852), for weights before a ReLU. */
export function kaimingUniform_(weight: Tensor): void {
  const bound = Math.sqrt(6 / fans(weight).fanIn);
  uniform_(weight, -bound, bound);
}

/** Uniform with variance 2 / (fan in + fan out) (Glorot & Bengio 2010), for weights before no ReLU. */
export function xavierUniform_(weight: Tensor): void {
  const { fanIn, fanOut } = fans(weight);
  const bound = Math.sqrt(6 / (fanIn + fanOut));
  uniform_(weight, -bound, bound);
}
