import { describe, expect, it } from 'vitest';

import { grad } from '../autograd.js';
import { gradCheck } from '../grad-check.js';
import { aten, operator } from '../operators.js';
import { manualSeed } from '../runtime.js';
import { tidy } from '../scope.js';
import { ones, rand, randn } from '../create.js';
import type { Dtype, Tensor } from '../tensor.js';
import { difference } from '../testing/difference.js';
import { onOneAndTwoThreads } from '../testing/on-threads.js';
import { imageMean, weighPixels, weighSplits } from './weigh.js';

const clast = (tensor: Tensor): Tensor => tensor.contiguous('channels_last');

/** Channels that fill no vector, one, and several; odd sizes; more rows than one thread takes at a time. */
const SHAPES = [
  [2, 16, 5, 7],
  [1, 2, 1, 1],
  [3, 36, 3, 5],
  [2, 130, 9, 4],
  [2, 256, 20, 20],
  [2, 4, 192, 192],
] as const;

const TOLERANCE = { float64: 1e-12, float32: 2e-5, bfloat16: 1e-2 } as const;
const DTYPES = Object.keys(TOLERANCE) as (keyof typeof TOLERANCE)[];

type Call = (input: Tensor, weights: Tensor) => Tensor;

/** Each operator by its kernel and by LibTorch's operators, with the weights' shape for an input's. */
const OPERATORS: Record<string, { kernel: Call; composite: Call; weights: (shape: readonly number[]) => number[] }> = {
  image_mean: {
    kernel: (x) => operator('aaunet::image_mean')(x) as Tensor,
    composite: (x) => aten.mean.dim(x, [2, 3], true),
    weights: () => [1],
  },
  'weigh_splits of one split': {
    kernel: (x, w) => operator('aaunet::weigh_splits')(x, w, 1) as Tensor,
    composite: (x, w) => x.mul(w),
    weights: ([n = 0, c = 0]) => [n, c, 1, 1],
  },
  'weigh_splits of two splits': {
    kernel: (x, w) => operator('aaunet::weigh_splits')(x, w, 2) as Tensor,
    composite: (x, w) => {
      const [n, c, h, width] = x.shape as [number, number, number, number];
      return x
        .reshape(n, 2, c / 2, h, width)
        .mul(w.reshape(n, 2, c / 2, 1, 1))
        .sum([1]);
    },
    weights: ([n = 0, c = 0]) => [n, 2, c / 2],
  },
  weigh_pixels: {
    kernel: (x, w) => operator('aaunet::weigh_pixels')(x, w) as Tensor,
    composite: (x, w) => x.mul(w),
    weights: ([n = 0, , h = 0, w = 0]) => [n, 1, h, w],
  },
};

describe.each(Object.entries(OPERATORS))('aaunet::%s', (name, { kernel, composite, weights }) => {
  const isMean = name === 'image_mean';

  it.each(DTYPES)('is the composite in float64, and so are its gradients: %s', (dtype) => {
    for (const shape of SHAPES)
      tidy(() => {
        manualSeed(1);
        const make = (size: readonly number[], type: Dtype): Tensor => clast(randn(size).add(1)).to(type).detach();
        // The weights are as wide as the kernel's coefficients, or as narrow as the images.
        for (const weightType of new Set<Dtype>([dtype === 'float64' ? 'float64' : 'float32', dtype])) {
          const leaves = [make(shape, dtype), randn(weights(shape)).to(weightType).detach()];
          const wide = leaves.map((leaf) => leaf.to('float64').clone().detach());
          for (const leaf of [...leaves, ...wide]) leaf.requiresGrad = true;
          const [output, expected] = [kernel(leaves[0]!, leaves[1]!), composite(wide[0]!, wide[1]!)];
          expect(output.dtype).toBe(dtype);
          expect(output.shape).toEqual(expected.shape);
          expect(output.isContiguous('channels_last')).toBe(true);
          expect(difference(output, expected)).toBeLessThan(TOLERANCE[dtype]);
          const upstream = randn(output.shape).to(dtype);
          const count = isMean ? 1 : 2;
          const found = grad([output], leaves.slice(0, count), { gradients: [upstream] });
          const wanted = grad([expected], wide.slice(0, count), { gradients: [upstream.to('float64')] });
          for (const [i, gradient] of found.entries()) {
            expect(gradient!.dtype).toBe(leaves[i]!.dtype);
            expect(gradient!.shape).toEqual(leaves[i]!.shape);
            expect(difference(gradient!, wanted[i]!)).toBeLessThan(TOLERANCE[dtype]);
          }
        }
      });
  });

  it('has the gradients of finite differences', () => {
    manualSeed(2);
    tidy(() => {
      const shape = [2, 6, 3, 4];
      const given = [randn(shape, { dtype: 'float64' }), randn(weights(shape), { dtype: 'float64' })];
      const call = isMean ? (x: Tensor) => kernel(x, given[1]!) : (x: Tensor, w: Tensor) => kernel(x, w);
      expect(gradCheck(call, isMean ? [given[0]!] : given)).toBeLessThan(1e-6);
    });
  });

  it('gives the same bits on one thread and on several', () => {
    tidy(() => {
      manualSeed(3);
      const x = clast(randn([2, 32, 96, 96])).detach();
      const w = randn(weights(x.shape)).detach();
      for (const leaf of [x, w]) leaf.requiresGrad = true;
      const run = (): number[][] => {
        const output = kernel(x, w);
        return [output, ...grad([output.mul(output).sum()], isMean ? [x] : [x, w])].map((tensor) => tensor!.toArray());
      };
      const [one, two] = onOneAndTwoThreads(run);
      expect(two).toEqual(one);
    });
  });
});

it('refuses what does not fit, in a sentence, and second derivatives', () => {
  tidy(() => {
    const x = clast(randn([2, 4, 3, 3]));
    const call =
      (name: string, ...given: unknown[]): (() => unknown) =>
      () =>
        operator(`aaunet::${name}`)(...given);
    expect(call('image_mean', randn([2, 4, 3]))).toThrow(/expected N x C x H x W/);
    expect(call('image_mean', randn([0, 4, 3, 3]))).toThrow(/with values in it/);
    expect(call('weigh_splits', x.to('float16'), ones([2, 4]), 1)).toThrow(/expected float64, float32 or bfloat16/);
    expect(call('weigh_splits', x, ones([2, 4]), 3)).toThrow(/radix: expected a divisor of 4/);
    expect(call('weigh_splits', x, ones([2, 4]), 0)).toThrow(/radix: expected a divisor of 4/);
    expect(call('weigh_splits', x, ones([2, 3]), 2)).toThrow(/weights: expected 2 x 4/);
    expect(call('weigh_splits', x, ones([2, 4], { dtype: 'int64' }), 1)).toThrow(/expected a dense tensor of floats/);
    expect(call('weigh_pixels', x, ones([2, 1, 3, 4]))).toThrow(/weights: expected \[2, 1, 3, 3\]/);
    const leaf = x.detach();
    leaf.requiresGrad = true;
    const output = weighSplits(leaf, ones([2, 4]), 1);
    expect(() => grad([output.mul(output).sum()], [leaf], { createGraph: true })).toThrow(/no second derivative/);
  });
});

it('computes the same for images in another memory format', () => {
  tidy(() => {
    manualSeed(4);
    const x = randn([2, 6, 3, 5]);
    const [splits, pixels] = [rand([2, 6]), rand([2, 1, 3, 5])];
    expect(difference(imageMean(x), imageMean(clast(x)))).toBeLessThan(1e-6);
    expect(difference(weighSplits(x, splits, 3), weighSplits(clast(x), splits, 3))).toBeLessThan(1e-6);
    expect(difference(weighPixels(x, pixels), weighPixels(clast(x), pixels))).toBeLessThan(1e-6);
  });
});
