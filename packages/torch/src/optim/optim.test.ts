import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { manualSeed, memoryStats } from '../runtime.js';
import { keep, tidy } from '../scope.js';
import { fromTypedArray, rand, tensor, zeros } from '../create.js';
import type { Dtype, Tensor } from '../tensor.js';
import { Conv2d, GroupNorm, parameter, ReLU, Sequential } from '../nn/index.js';
import { AdamW, clipGradNorm, constant, cyclic, GradScaler } from './index.js';

let before: ReturnType<typeof memoryStats>;
beforeEach(() => {
  before = memoryStats();
});
afterEach(() => {
  expect(memoryStats()).toEqual(before);
});

function wave(length: number, a: number): number[] {
  return Array.from({ length }, (_, i) => Math.sin(a * i + 0.3));
}

function parameters(dtype: Dtype = 'float64'): Map<string, Tensor> {
  return new Map([
    ['weight', parameter(tensor(wave(3, 0.7), { dtype }))],
    ['bias', parameter(tensor(wave(2, 1.1), { dtype }))],
  ]);
}

function release(tensors: Iterable<Tensor>): void {
  for (const each of tensors) each.dispose();
}

function near(found: readonly number[], expected: readonly number[], digits = 7): void {
  expect(found.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) expect(found[i]).toBeCloseTo(value, digits);
}

describe('AdamW', () => {
  /** One step of what the figures below were computed with by PyTorch 2.13. */
  function step(all: Map<string, Tensor>, optimizer: AdamW, k: number): void {
    tidy(() => {
      const weight = all.get('weight')!;
      const bias = all.get('bias')!;
      const loss = weight
        .pow(2)
        .sum()
        .mul(k + 1)
        .add(bias.pow(3).sum())
        .add(weight.select(0, 0).mul(bias.select(0, 1)));
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step(0.05 / (k + 1));
    });
  }
  const options = {
    betas: [0.8, 0.95] as const,
    eps: 1e-7,
    weightDecay: 0.1,
    decays: (name: string): boolean => name === 'weight',
  };

  it('makes PyTorch’s steps, with decay for some parameters only', () => {
    const all = parameters();
    using optimizer = new AdamW(all, options);
    const expected: [number[], number[]][] = [
      [
        [0.24404261, 0.78726363, 0.93670649],
        [0.24552023, 0.93544973],
      ],
      [
        [0.21834261, 0.76074023, 0.90982985],
        [0.22132022, 0.91060813],
      ],
      [
        [0.20115244, 0.74303645, 0.89189258],
        [0.20566886, 0.89414337],
      ],
      [
        [0.18818432, 0.72963342, 0.87831376],
        [0.19426454, 0.88186239],
      ],
    ];
    for (const [k, [weight, bias]] of expected.entries()) {
      step(all, optimizer, k);
      near(all.get('weight')!.toArray(), weight);
      near(all.get('bias')!.toArray(), bias);
    }
    release(all.values());
  });

  it('continues identically from its state', () => {
    const one = parameters();
    const two = parameters();
    using first = new AdamW(one, options);
    using second = new AdamW(two, options);
    for (let k = 0; k < 3; k++) step(one, first, k);
    tidy(() => {
      for (const [name, value] of one) two.get(name)!.detach().copy_(value.detach());
    });
    second.loadStateDict(first.stateDict());
    for (let k = 3; k < 5; k++) {
      step(one, first, k);
      step(two, second, k);
    }
    for (const [name, value] of one) expect(two.get(name)!.toArray()).toEqual(value.toArray());
    expect([...first.stateDict().keys()].slice(0, 3)).toEqual(['weight.exp_avg', 'weight.exp_avg_sq', 'weight.step']);
    release([...one.values(), ...two.values()]);
  });

  it('refuses the state of another network and leaves its own as it was', () => {
    const all = parameters();
    using optimizer = new AdamW(all, options);
    step(all, optimizer, 0);
    const kept = [...optimizer.stateDict().values()].map((each) => each.toArray());
    tidy(() => {
      const wrong = new Map(optimizer.stateDict());
      wrong.set('weight.exp_avg', zeros([3], { dtype: 'float64' }));
      wrong.set('bias.exp_avg', zeros([7], { dtype: 'float64' }));
      expect(() => {
        optimizer.loadStateDict(wrong);
      }).toThrow('bias.exp_avg has shape [7], expected [2]');
      expect(() => {
        optimizer.loadStateDict(new Map());
      }).toThrow('lacks weight.exp_avg');
    });
    expect([...optimizer.stateDict().values()].map((each) => each.toArray())).toEqual(kept);
    release(all.values());
  });

  it('leaves parameters without a gradient alone', () => {
    const all = parameters('float32');
    using optimizer = new AdamW(all);
    const [weight, bias] = [all.get('weight')!, all.get('bias')!];
    const kept = bias.toArray();
    optimizer.step(0.1);
    tidy(() => {
      weight.sum().backward();
    });
    optimizer.step(0.1);
    expect(bias.toArray()).toEqual(kept);
    expect(optimizer.stateDict().get('bias.step')!.item()).toBe(0);
    expect(weight.toArray()[0]).toBeCloseTo(Math.sin(0.3) * (1 - 0.1 * 0.01) - 0.1, 5);
    optimizer.zeroGrad();
    expect(weight.grad).toBeNull();
    release(all.values());
  });
});

it('AdamW moves each value by its own gradient, however that lies in memory', () => {
  const moved = (format: 'channels_last' | 'contiguous_format'): number[] =>
    tidy(() => {
      const weight = fromTypedArray(
        Float32Array.from({ length: 8 }, (_, i) => i),
        [1, 2, 2, 2],
      );
      weight.requiresGrad = true;
      const parameter = weight.contiguous('channels_last').detach();
      parameter.requiresGrad = true;
      const values = Float32Array.from({ length: 8 }, (_, i) => 10 ** -i);
      parameter.grad = fromTypedArray(values, [1, 2, 2, 2]).contiguous(format);
      expect(parameter.grad.toArray()).toEqual([...values]);
      using optimizer = new AdamW(new Map([['weight', parameter]]), { eps: 1e-3 });
      optimizer.step(0.1);
      return parameter.toArray();
    });
  expect(moved('contiguous_format')).toEqual(moved('channels_last'));
});

describe('schedules', () => {
  it('cyclic is PyTorch’s CyclicLR', () => {
    const options = { base: 0.001, max: 0.1, stepsUp: 4, stepsDown: 6 };
    const rise = [0.001, 0.02575, 0.0505, 0.07525, 0.1, 0.0835, 0.067, 0.0505, 0.034, 0.0175];
    const steps = Array.from({ length: 25 }, (_, i) => i);
    near(steps.slice(0, 20).map(cyclic({ ...options, mode: 'triangular' })), [...rise, ...rise], 12);
    near(
      steps.map(cyclic(options)),
      [
        ...rise,
        ...[0.001, 0.013375, 0.02575, 0.038125, 0.0505, 0.04225, 0.034, 0.02575, 0.0175, 0.00925],
        ...[0.001, 0.0071875, 0.013375, 0.0195625, 0.02575],
      ],
      12,
    );
    expect(cyclic({ base: 0, max: 1, stepsUp: 2 })(3)).toBe(0.5);
  });

  it('refuses cycles without length', () => {
    for (const stepsUp of [0, -1, NaN]) expect(() => cyclic({ base: 0, max: 1, stepsUp })).toThrow('positive steps');
    expect(() => cyclic({ base: 0, max: 1, stepsUp: 1, stepsDown: 0 })).toThrow('1 up and 0 down');
  });

  it('constant is constant', () => {
    expect([constant(0.1)(0), constant(0.1)(1e6)]).toEqual([0.1, 0.1]);
  });
});

describe('clipGradNorm', () => {
  it('scales all gradients together, down only, and returns the norm before', () => {
    tidy(() => {
      const [a, b] = [parameter(zeros([1])), parameter(zeros([1]))];
      const unused = parameter(zeros([1]));
      const set = (): void => {
        a.grad = tensor([3]);
        b.grad = tensor([4]);
      };
      set();
      expect(clipGradNorm([a, b, unused], 1).item()).toBe(5);
      near([a.grad!.toArray()[0]!, b.grad!.toArray()[0]!], [0.5999999, 0.79999983], 6);
      set();
      expect(clipGradNorm([a, b], 10).item()).toBe(5);
      expect([a.grad!.item(), b.grad!.item()]).toEqual([3, 4]);
      expect(() => clipGradNorm([unused], 1)).toThrow('call backward first');
      release([a, b, unused]);
    });
  });
});

describe('GradScaler', () => {
  it('scales up and down, skips and halves on an infinity, grows after a while', () => {
    using scaler = new GradScaler({ initial: 8, interval: 2 });
    const weight = keep(parameter(tensor([2])));
    tidy(() => {
      const set = (value: number): boolean => {
        weight.grad = tensor([value]);
        return scaler.unscale([weight]);
      };
      expect(scaler.scaled(tensor(3)).item()).toBe(24);
      expect(set(16)).toBe(true);
      expect(weight.grad!.item()).toBe(2);
      expect(scaler.scale).toBe(8);
      expect(set(16)).toBe(true);
      expect(scaler.scale).toBe(16);
      for (const bad of [Infinity, -Infinity, NaN]) expect(set(bad)).toBe(false);
      expect(scaler.scale).toBe(2);
      weight.grad = null;
      expect(scaler.unscale([weight])).toBe(true);
    });
    expect([...scaler.stateDict().keys()]).toEqual(['scale', 'growth_tracker']);
    weight.dispose();
  });
});

it('140 training steps leave no tensor behind, keep the resident memory flat, and learn', async () => {
  manualSeed(0);
  using net = new Sequential(
    new Conv2d(3, 16, 3, { padding: 1 }),
    new GroupNorm(4, 16),
    new ReLU(),
    new Conv2d(16, 1, 3, { padding: 1 }),
  );
  using optimizer = new AdamW(net.namedParameters());
  using images = rand([4, 3, 16, 16]);
  const step = (): number =>
    tidy(() => {
      const loss = net
        .forward(images)
        .sub(images.narrow(1, 0, 1))
        .pow(2)
        .mean();
      optimizer.zeroGrad();
      loss.backward();
      clipGradNorm(net.parameters(), 1);
      optimizer.step(1e-2);
      return Number(loss.item());
    });
  // Node frees what finished handles leave only between the turns of its event loop.
  const yielding = async (): Promise<number> => {
    await setImmediate();
    return step();
  };
  const first = step();
  for (let i = 0; i < 40; i++) await yielding();
  const live = memoryStats();
  const resident = process.memoryUsage.rss();
  let last = first;
  for (let i = 0; i < 100; i++) last = await yielding();
  expect(memoryStats()).toEqual(live);
  expect(last).toBeLessThan(first / 3);
  // A step's activations are about 0.4 MB: kept, they would be 40 MB.
  expect(process.memoryUsage.rss() - resident).toBeLessThan(30e6);
  net.zeroGrad();
});
