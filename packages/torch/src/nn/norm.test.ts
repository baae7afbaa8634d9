import { describe, expect, it } from 'vitest';

import { grad, noGrad } from '../autograd.js';
import { gradCheck } from '../grad-check.js';
import { aten, operator } from '../operators.js';
import { manualSeed, memoryStats } from '../runtime.js';
import { tidy } from '../scope.js';
import { ones, rand, randn, zeros } from '../create.js';
import type { Dtype, Tensor } from '../tensor.js';
import { difference } from '../testing/difference.js';
import { onOneAndTwoThreads } from '../testing/on-threads.js';
import { Conv2d } from './conv.js';
import type { Layer } from './module.js';
import { BatchNorm2d, GroupNorm } from './norm.js';

const batchNorm = operator('aaunet::batch_norm');
const groupNorm = operator('aaunet::group_norm');

/** 1 where a tensor is above 0, else 0, in float64. */
function positive(tensor: Tensor): Tensor {
  return aten.gt.Scalar(tensor.detach(), 0).to('float64');
}

const clast = (tensor: Tensor): Tensor => tensor.contiguous('channels_last');

/** Shapes with few channels, some that fill no vector, odd sizes, and more rows than one thread takes at a time. */
const SHAPES = [
  [2, 16, 5, 7],
  [1, 1, 4, 4],
  [2, 8, 16, 16],
  [3, 36, 3, 5],
  [2, 130, 9, 4],
  [2, 4, 192, 192],
] as const;

interface Case {
  readonly dtype: Dtype;
  readonly residual: boolean;
  readonly relu: boolean;
  readonly training: boolean;
}

const CASES: Case[] = (['float64', 'float32', 'bfloat16'] as const).flatMap((dtype) =>
  [true, false].flatMap((residual) =>
    [true, false].flatMap((relu) => [true, false].map((training) => ({ dtype, residual, relu, training }))),
  ),
);

/** The kernels keep more digits than LibTorch's own operators: the reference is theirs in float64. */
const TOLERANCE: Readonly<Record<string, number>> = { float64: 1e-12, float32: 2e-5, bfloat16: 2e-2 };

describe('aaunet::batch_norm', () => {
  it.each(CASES)(
    'is the composite in float64: $dtype, residual $residual, relu $relu, training $training',
    ({ dtype, residual, relu, training }) => {
      for (const shape of SHAPES)
        tidy(() => {
          manualSeed(1);
          const channels = shape[1];
          const parameterType = dtype === 'float64' ? 'float64' : 'float32';
          const make = (size: readonly number[]): Tensor => clast(randn(size).mul(3).add(5).to(dtype)).detach();
          const x = make(shape);
          const added = residual ? make(shape).sub(5) : null;
          const [weight, bias] = [randn([channels]).to(parameterType), randn([channels]).to(parameterType)];
          const [mean, variance] = [randn([channels]).to(parameterType), rand([channels]).add(1).to(parameterType)];
          const upstream = clast(randn(shape).to(dtype));
          const leaves = [x, weight, bias, ...(added ? [added.detach()] : [])];
          for (const leaf of leaves) leaf.requiresGrad = true;

          const wide = leaves.map((leaf) => leaf.detach().to('float64').clone());
          for (const leaf of wide) leaf.requiresGrad = true;
          const wideRunning = [mean.to('float64').clone(), variance.to('float64').clone()] as const;

          const output = batchNorm(
            ...[x, weight, bias, mean, variance, leaves[3] ?? null, training, 0.1, 1e-5, relu],
          ) as Tensor;
          let expected = aten.batch_norm(wide[0]!, wide[1], wide[2], ...wideRunning, training, 0.1, 1e-5, false);
          if (wide[3]) expected = expected.add(wide[3]);
          if (relu) expected = expected.relu();

          expect(output.dtype).toBe(dtype);
          expect(output.isContiguous('channels_last')).toBe(true);
          const tolerance = TOLERANCE[dtype]!;
          expect(difference(output, expected)).toBeLessThan(tolerance);
          expect(difference(mean, wideRunning[0])).toBeLessThan(1e-5);
          expect(difference(variance, wideRunning[1])).toBeLessThan(1e-5);

          // Where rounding lifts an output over 0 or not, gradients differ wholly: compare them under the same mask.
          const mask = relu ? positive(output) : ones([1], { dtype: 'float64' });
          const plain = aten.batch_norm(
            wide[0]!,
            wide[1],
            wide[2],
            wideRunning[0].clone(),
            wideRunning[1].clone(),
            training,
            0.1,
            1e-5,
            false,
          );
          const reference = grad(
            [(wide[3] ? plain.add(wide[3]) : plain).mul(mask).mul(upstream.to('float64')).sum()],
            wide,
          );
          const found = grad([output], leaves, { gradients: [upstream] });
          for (const [i, gradient] of found.entries()) {
            if (training && channels === 1 && i === 0) continue;
            expect(difference(gradient!, reference[i]!)).toBeLessThan(5 * tolerance);
          }
        });
    },
  );

  it('has the gradients of finite differences', () => {
    manualSeed(2);
    tidy(() => {
      const [x, residual] = [randn([2, 3, 4, 3], { dtype: 'float64' }), randn([2, 3, 4, 3], { dtype: 'float64' })];
      const [weight, bias] = [randn([3], { dtype: 'float64' }), randn([3], { dtype: 'float64' })];
      const [mean, variance] = [zeros([3], { dtype: 'float64' }), ones([3], { dtype: 'float64' })];
      for (const training of [true, false])
        expect(
          gradCheck(
            (a, w, b, r) => batchNorm(a, w, b, mean, variance, r, training, 0, 1e-5, true) as Tensor,
            [x, weight, bias, residual],
          ),
        ).toBeLessThan(1e-6);
    });
  });

  it('keeps its digits where values are far from 0', () => {
    manualSeed(3);
    tidy(() => {
      const x = clast(randn([2, 16, 32, 32], { dtype: 'float64' }).add(1000).to('float32'));
      const run = (input: Tensor): Tensor =>
        batchNorm(...[input, ones([16]), zeros([16]), zeros([16]), ones([16]), null, true, 0.1, 1e-5, false]) as Tensor;
      const wide = x.to('float64');
      const expected = aten.batch_norm(wide, null, null, null, null, true, 0.1, 1e-5, false);
      expect(difference(run(x), expected)).toBeLessThan(1e-4);
    });
  });

  it('gives the same bits on one thread and on several', () => {
    manualSeed(4);
    tidy(() => {
      const x = clast(randn([2, 32, 96, 96]));
      const run = (): number[] =>
        (
          batchNorm(...[x, ones([32]), zeros([32]), zeros([32]), ones([32]), null, true, 0.1, 1e-5, true]) as Tensor
        ).toArray();
      const [one, two] = onOneAndTwoThreads(run);
      expect(two).toEqual(one);
    });
  });

  it('refuses what does not fit, in a sentence, and second derivatives', () => {
    tidy(() => {
      const x = clast(randn([2, 4, 3, 3]));
      const call = (over: Record<number, unknown>): unknown => {
        const args: unknown[] = [x, ones([4]), zeros([4]), zeros([4]), ones([4]), null, true, 0.1, 1e-5, true];
        for (const [index, value] of Object.entries(over)) args[Number(index)] = value;
        return batchNorm(...args);
      };
      expect(() => call({ 0: randn([2, 4, 3]) })).toThrow(/expected N x C x H x W/);
      expect(() => call({ 0: randn([0, 4, 3, 3]) })).toThrow(/with values in it/);
      expect(() => call({ 0: x.to('float16') })).toThrow(/expected float64, float32 or bfloat16/);
      expect(() => call({ 1: ones([5]) })).toThrow(/weight: expected \[4\]/);
      expect(() => call({ 3: ones([4], { dtype: 'float64' }) })).toThrow(/running_mean: expected \[4\]/);
      expect(() => call({ 5: randn([2, 4, 3, 1]) })).toThrow(/residual: expected/);
      expect(() => call({ 0: clast(randn([1, 4, 1, 1])) })).toThrow(/more than one value a channel/);
      const leaf = x.detach();
      leaf.requiresGrad = true;
      const output = call({ 0: leaf }) as Tensor;
      expect(() => grad([output.sum()], [leaf], { createGraph: true })).toThrow(/no second derivative/);
    });
  });
});

describe('aaunet::group_norm', () => {
  it.each(['float64', 'float32', 'bfloat16'] as const)('is the composite in float64: %s', (dtype) => {
    for (const [shape, groups] of [
      [[2, 16, 5, 7], 4],
      [[3, 8, 16, 16], 1],
      [[2, 36, 3, 5], 9],
      [[2, 64, 96, 96], 16],
    ] as const)
      for (const relu of [true, false])
        tidy(() => {
          manualSeed(5);
          const x = clast(randn(shape).mul(2).add(3).to(dtype)).detach();
          const type = dtype === 'float64' ? 'float64' : 'float32';
          const leaves = [x, randn([shape[1]]).to(type), randn([shape[1]]).to(type)];
          for (const leaf of leaves) leaf.requiresGrad = true;
          const wide = leaves.map((leaf) => leaf.detach().to('float64').clone());
          for (const leaf of wide) leaf.requiresGrad = true;
          const upstream = clast(randn(shape).to(dtype));
          const output = groupNorm(leaves[0], groups, leaves[1], leaves[2], null, 1e-5, relu) as Tensor;
          const plain = aten.group_norm(wide[0]!, groups, wide[1], wide[2], 1e-5, false);
          expect(difference(output, relu ? plain.relu() : plain)).toBeLessThan(TOLERANCE[dtype]!);
          const mask = relu ? positive(output) : ones([1], { dtype: 'float64' });
          const reference = grad([plain.mul(mask).mul(upstream.to('float64')).sum()], wide);
          const found = grad([output], leaves, { gradients: [upstream] });
          for (const [i, gradient] of found.entries())
            expect(difference(gradient!, reference[i]!)).toBeLessThan(5 * TOLERANCE[dtype]!);
        });
  });

  it('has the gradients of finite differences', () => {
    manualSeed(6);
    tidy(() => {
      const x = randn([2, 6, 3, 4], { dtype: 'float64' });
      const [weight, bias] = [randn([6], { dtype: 'float64' }), randn([6], { dtype: 'float64' })];
      expect(gradCheck((a, w, b) => groupNorm(a, 2, w, b, null, 1e-5, true) as Tensor, [x, weight, bias])).toBeLessThan(
        1e-6,
      );
    });
  });

  it('refuses groups that do not divide the channels', () => {
    tidy(() => {
      expect(() => groupNorm(clast(randn([1, 4, 2, 2])), 3, ones([4]), zeros([4]), null, 1e-5, true)).toThrow(
        /divisor of 4/,
      );
      expect(() => groupNorm(clast(randn([1, 4, 2, 2])), 0, ones([4]), zeros([4]), null, 1e-5, true)).toThrow(
        /divisor of 4/,
      );
    });
  });
});

describe('BatchNorm2d and GroupNorm', () => {
  it('give the same in either memory format, with and without ReLU, and leave nothing behind', () => {
    manualSeed(7);
    const { tensors } = memoryStats();
    tidy(() => {
      const x = randn([2, 8, 6, 6]);
      const residual = randn([2, 8, 6, 6]);
      using batch = new BatchNorm2d(8);
      using other = new BatchNorm2d(8);
      using group = new GroupNorm(2, 8);
      expect(difference(batch.forwardReLU(clast(x), clast(residual)), other.forwardReLU(x, residual))).toBeLessThan(
        1e-5,
      );
      expect(difference(batch.running_var, other.running_var)).toBeLessThan(1e-5);
      expect(difference(batch.eval().forward(clast(x)), other.eval().forward(x))).toBeLessThan(1e-5);
      noGrad(() => {
        expect(difference(group.forwardReLU(clast(x)), group.forwardReLU(x))).toBeLessThan(1e-5);
      });
    });
    expect(memoryStats().tensors).toBe(tensors);
  });

  it('leave values that JavaScript wrote into their output for the gradient of what reads it', () => {
    tidy(() => {
      using norm = new BatchNorm2d(8);
      using next = new Conv2d(8, 1, 1, { bias: false });
      const output = norm.forwardReLU(clast(randn([4, 8, 1, 1])));
      output.data('float32').fill(2);
      const [gradient] = grad([next.forward(output).sum()], [next.weight]);
      expect(gradient!.toArray()).toEqual(Array(8).fill(8));
    });
  });

  it('take in one memory format what they take in another: parameters, residuals and batches that the kernel does not', () => {
    manualSeed(8);
    tidy(() => {
      const [x, residual] = [randn([2, 8, 6, 6]), randn([2, 8, 6, 6])];
      for (const make of [() => new BatchNorm2d(8), () => new GroupNorm(2, 8)]) {
        using half = make();
        half.to({ dtype: 'bfloat16' });
        using wide = make();
        const compare = (layer: Layer, image: Tensor, added: Tensor | null): void => {
          const [found, expected] = [clast(image), image].map((one) => layer.eval().forwardReLU(one, added));
          expect(difference(found!, expected!)).toBeLessThan(1e-2);
        };
        compare(half, x.to('bfloat16'), null);
        compare(wide, x.to('bfloat16'), residual);
        compare(wide, x, randn([1, 8, 1, 1]));
        expect(wide.eval().forward(clast(zeros([0, 8, 6, 6]))).shape).toEqual([0, 8, 6, 6]);
      }
    });
  });
});
