import { tidy } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { ReLU } from './activation.js';
import { Layer, type Module } from './module.js';

/** Layers one after another; in the state dict they are numbered. A ReLU is done by the layer before it. */
export class Sequential<L extends readonly Layer[] = readonly Layer[]> extends Layer {
  readonly layers: L;

  constructor(...layers: L) {
    super();
    this.layers = layers;
  }

  override *children(): Iterable<[string, Module]> {
    for (const [index, layer] of this.layers.entries()) yield [String(index), layer];
  }

  override forward(input: Tensor): Tensor {
    return this.run(input, this.layers.length);
  }

  override forwardReLU(input: Tensor, residual: Tensor | null = null): Tensor {
    const last = this.layers.at(-1);
    if (!last) return super.forwardReLU(input, residual);
    return tidy(() => last.forwardReLU(this.run(input, this.layers.length - 1), residual));
  }

  /** The first `count` layers. */
  private run(input: Tensor, count: number): Tensor {
    return tidy(() => {
      let output = input;
      for (let index = 0; index < count; index++) {
        const layer = this.layers[index]!;
        const cutsNext = index + 1 < count && this.layers[index + 1] instanceof ReLU;
        output = cutsNext ? layer.forwardReLU(output) : layer.forward(output);
        if (cutsNext) index += 1;
      }
      return output;
    });
  }
}
