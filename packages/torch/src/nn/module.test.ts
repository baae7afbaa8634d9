import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { memoryStats } from '../runtime.js';
import { tidy } from '../scope.js';
import { full, ones, rand, zeros } from '../create.js';
import type { Tensor } from '../tensor.js';
import { BatchNorm2d, Conv2d, GroupNorm, Layer, Linear, Module, ReLU, Sequential } from './index.js';

let before: ReturnType<typeof memoryStats>;
beforeEach(() => {
  before = memoryStats();
});
afterEach(() => {
  expect(memoryStats()).toEqual(before);
});

class Block extends Layer {
  readonly conv = new Conv2d(2, 2, 1, { bias: false });
  readonly norm = new BatchNorm2d(2);
  readonly scale = 2;
  readonly missing = null;

  override forward(input: Tensor): Tensor {
    return this.norm.forward(this.conv.forward(input)).mul(this.scale);
  }
}

class Net extends Module {
  readonly blocks = [new Block(), new Block()];
  readonly head = new Sequential(new ReLU(), new Conv2d(2, 1, 1));
}

const sequence = (): Sequential =>
  new Sequential(
    new Conv2d(3, 4, 3),
    new BatchNorm2d(4),
    new ReLU(),
    new Sequential(new GroupNorm(2, 4), new Conv2d(4, 2, 1, { bias: false })),
  );

describe('state dict', () => {
  it('has PyTorch’s keys in PyTorch’s order', () => {
    using net = sequence();
    expect([...net.stateDict().keys()]).toEqual([
      ...['0.weight', '0.bias'],
      ...['1.weight', '1.bias', '1.running_mean', '1.running_var', '1.num_batches_tracked'],
      ...['3.0.weight', '3.0.bias', '3.1.weight'],
    ]);
    expect([...net.namedParameters().keys()]).not.toContain('1.running_mean');
    expect([...net.namedBuffers().keys()]).toEqual(['1.running_mean', '1.running_var', '1.num_batches_tracked']);
    using nested = new Net();
    expect([...nested.stateDict().keys()].slice(5, 8)).toEqual([
      'blocks.0.norm.num_batches_tracked',
      'blocks.1.conv.weight',
      'blocks.1.norm.weight',
    ]);
    expect([...nested.stateDict().keys()].at(-1)).toBe('head.1.bias');
    expect([...nested.modules()].map(([name]) => name)).toContain('head.0');
  });

  it('loads into another network of the same kind, converting', () => {
    using source = sequence();
    using target = sequence().to({ dtype: 'float64' });
    expect(target.loadStateDict(source.stateDict())).toEqual({ missing: [], unexpected: [], mismatched: [] });
    for (const [name, tensor] of target.stateDict()) {
      expect(tensor.toArray()).toEqual(source.stateDict().get(name)!.toArray());
      expect(tensor.dtype).toBe(name.endsWith('tracked') ? 'int64' : 'float64');
    }
  });

  it('refuses what differs, by name, and copies nothing then', () => {
    using net = new Linear(2, 3);
    const kept = net.weight.toArray();
    tidy(() => {
      const state = new Map([
        ['weight', zeros([3, 2])],
        ['bias', zeros([4])],
        ['other', zeros([1])],
      ]);
      expect(() => net.loadStateDict(state)).toThrow(
        "The weights are not this network's: 1 unexpected (other), 1 mismatched (bias: expected [3], found [4]).",
      );
      expect(() => net.loadStateDict(new Map())).toThrow('2 missing (weight; bias)');
      expect(net.weight.toArray()).toEqual(kept);
      expect(net.loadStateDict(state, { strict: false })).toEqual({
        missing: [],
        unexpected: ['other'],
        mismatched: ['bias: expected [3], found [4]'],
      });
      expect(net.weight.toArray()).toEqual(Array.from({ length: 6 }, () => 0));
    });
  });
});

describe('to', () => {
  it('converts floating-point tensors and the layout of images in place, leaving no tensor behind', () => {
    using net = sequence();
    const held = memoryStats().tensors;
    expect(net.to({ dtype: 'bfloat16', memoryFormat: 'channels_last' })).toBe(net);
    expect(memoryStats().tensors).toBe(held);
    const state = net.stateDict();
    expect([state.get('0.weight')!.dtype, state.get('1.num_batches_tracked')!.dtype]).toEqual(['bfloat16', 'int64']);
    expect(state.get('0.weight')!.isContiguous('channels_last')).toBe(true);
    expect([...state.keys()].length).toBe(10);
    for (const parameter of net.parameters()) expect([parameter.requiresGrad, parameter.isLeaf]).toEqual([true, true]);
    for (const buffer of net.namedBuffers().values()) expect(buffer.requiresGrad).toBe(false);
  });

  it('keeps what it converts inside a scope', () => {
    using net = new Linear(2, 2);
    tidy(() => {
      net.to({ dtype: 'float64' });
    });
    expect(net.weight.dtype).toBe('float64');
  });
});

it('train and eval reach every module below', () => {
  using net = new Net();
  expect([...net.modules()].every(([, module]) => module.training)).toBe(true);
  expect(net.eval()).toBe(net);
  expect([...net.modules()].some(([, module]) => module.training)).toBe(false);
  net.train();
  expect(net.blocks[1]!.norm.training).toBe(true);
});

it('zeroGrad drops the gradients of all parameters', () => {
  using net = new Block();
  tidy(() => {
    net
      .forward(rand([2, 2, 3, 3]))
      .mul(rand([2, 2, 3, 3]))
      .sum()
      .backward();
    expect(net.parameters().every((parameter) => parameter.grad !== null)).toBe(true);
    net.zeroGrad();
    expect(net.parameters().every((parameter) => parameter.grad === null)).toBe(true);
  });
});

it('a sequence applies its layers in order, and none is the identity', () => {
  using net = new Sequential(new Linear(1, 1, { bias: false }), new ReLU());
  tidy(() => {
    net.loadStateDict(new Map([['0.weight', full([1, 1], -1)]]));
    expect(net.forward(ones([1, 1])).item()).toBe(0);
    const x = ones([1]);
    expect(new Sequential().forward(x)).toBe(x);
  });
});
