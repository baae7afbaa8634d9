import { describe, expect, it } from 'vitest';

import { noGrad } from '../autograd.js';
import { BatchNorm2d } from '../nn/norm.js';
import { Conv2d } from '../nn/conv.js';
import { GroupNorm } from '../nn/norm.js';
import { Layer } from '../nn/module.js';
import { aten } from '../operators.js';
import { memoryStats, manualSeed } from '../runtime.js';
import { tidy } from '../scope.js';
import { randn } from '../create.js';
import type { Tensor } from '../tensor.js';
import { compile } from './compile.js';

/** What fusing must not confuse: a convolution read twice, a residual that is read again, a sum of one tensor with itself. */
class Tricky extends Layer {
  readonly first = new Conv2d(3, 8, 3, { padding: 1 });
  readonly norm = new BatchNorm2d(8);
  readonly second = new Conv2d(8, 8, 1, { bias: false });
  readonly third = new Conv2d(8, 8, 3, { padding: 1 });
  readonly group = new GroupNorm(2, 8);

  override forward(image: Tensor): Tensor {
    return tidy(() => {
      const shared = this.first.forward(image);
      const normal = aten.relu(this.norm.forward(shared));
      const residual = this.second.forward(normal).add(normal);
      const again = aten.relu(this.third.forward(residual).add(residual));
      const twice = this.second.forward(again);
      const grouped = this.group.forwardReLU(twice.add(twice), residual);
      return aten.cat([grouped, shared, aten.sigmoid(again)], 1);
    });
  }
}

/** Convolutions that are wide enough for minimal filtering, one with a residual and ReLU, one in two groups. */
class Wide extends Layer {
  readonly first = new Conv2d(3, 32, 1);
  readonly second = new Conv2d(32, 32, 3, { padding: 1 });
  readonly norm = new BatchNorm2d(32);
  readonly third = new Conv2d(32, 96, 3, { groups: 2, padding: 2, bias: false });

  override forward(image: Tensor): Tensor {
    return tidy(() => {
      const input = this.first.forward(image);
      return this.third.forward(this.norm.forwardReLU(this.second.forward(input), input));
    });
  }
}

function worst(a: Tensor, b: Tensor): number {
  return tidy(() => a.sub(b).abs().max().item() as number);
}

describe('compile', () => {
  it('keeps what a network computes where results are shared, and frees all it made', () => {
    const before = memoryStats();
    manualSeed(5);
    {
      using network = new Tricky().eval();
      tidy(() => {
        network.norm.running_mean.copy_(randn([8]));
        network.norm.running_var.copy_(randn([8]).abs().add(0.5));
        network.norm.weight.detach().copy_(randn([8]));
      });
      using compiled = compile(network, [3, 16, 24], { precision: 'float32' });
      using image = randn([2, 3, 16, 24]);
      using expected = noGrad(() => network.forward(image));
      using found = compiled.forward(image);
      using again = compiled.forward(image);
      expect(worst(found, expected)).toBeLessThan(1e-5);
      expect(worst(found, again)).toBe(0);
      expect(found.dtype).toBe('float32');
    }
    expect(memoryStats()).toEqual(before);
  });

  it('keeps what wide 3x3 convolutions compute, for another number of images than it was traced with', () => {
    manualSeed(6);
    using network = new Wide().eval();
    using compiled = compile(network, [3, 26, 25], { precision: 'float32' });
    using image = randn([3, 3, 26, 25]);
    using found = compiled.forward(image);
    network.to({ dtype: 'float64' });
    using wide = image.to('float64');
    using expected = noGrad(() => network.forward(wide));
    using single = expected.to('float32');
    expect(worst(found, single)).toBeLessThan(1e-5);
  });

  it('leaves a normalisation nowhere but where its input is read twice or comes from no convolution', () => {
    using network = new Tricky().eval();
    using compiled = compile(network, [3, 16, 16], { precision: 'float32' });
    expect(compiled.steps).toEqual({
      convolution: 4,
      normalization: 2,
      'aten::add.Tensor': 1,
      'aten::sigmoid': 1,
      'aten::cat': 1,
    });
  });

  it('has weights of its own: the network may change or go', () => {
    using compiled = (() => {
      using network = new Tricky().eval();
      return compile(network, [3, 16, 16], { precision: 'bfloat16' });
    })();
    using image = randn([1, 3, 16, 16]);
    using found = compiled.forward(image);
    expect(found.shape).toEqual([1, 24, 16, 16]);
  });

  it('refuses a network in training, whose batch norm depends on the batch', () => {
    using network = new Tricky();
    expect(() => compile(network, [3, 16, 16], { precision: 'float32' })).toThrow(/evaluation mode.*eval\(\)/);
  });
});
