import { aten } from '../operators.js';
import type { Tensor } from '../tensor.js';
import { Layer } from './module.js';

/** max(x, 0). */
export class ReLU extends Layer {
  override forward(input: Tensor): Tensor {
    return aten.relu(input);
  }
}

/** 1 / (1 + exp(-x)). */
export class Sigmoid extends Layer {
  override forward(input: Tensor): Tensor {
    return aten.sigmoid(input);
  }
}

/** exp(x) / sum(exp(x)) over one dimension. */
export class Softmax extends Layer {
  constructor(readonly dim: number) {
    super();
  }

  override forward(input: Tensor): Tensor {
    return aten.softmax.int(input, this.dim);
  }
}

/** Returns its input: a placeholder in a numbered sequence. */
export class Identity extends Layer {
  override forward(input: Tensor): Tensor {
    return input;
  }
}
