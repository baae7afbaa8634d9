import { describe, expect, it } from 'vitest';

import { autocast, grad } from '../autograd.js';
import { aten, operator } from '../operators.js';
import { libtorchInfo, manualSeed } from '../runtime.js';
import { tidy } from '../scope.js';
import { randn } from '../create.js';
import type { Dtype, Tensor } from '../tensor.js';
import { difference } from '../testing/difference.js';
import { onOneAndTwoThreads } from '../testing/on-threads.js';

interface Case {
  input: readonly [number, number, number, number];
  out: number;
  kernel: number;
  stride?: number;
  padding?: number;
  dilation?: number;
  groups?: number;
}

/** Full and partly filled panels of channels, tiles of pixels and strips of output channels, and every setting of a convolution. */
const CASES: Record<string, Case> = {
  '3x3': { input: [2, 32, 9, 70], out: 32, kernel: 3, padding: 1 },
  '3x3 in groups of whole panels': { input: [2, 64, 21, 18], out: 96, kernel: 3, padding: 1, groups: 2 },
  '3x3 without padding': { input: [2, 16, 27, 26], out: 48, kernel: 3 },
  '3x3 with padding 2': { input: [2, 40, 25, 24], out: 32, kernel: 3, padding: 2 },
  '3x3 of channels that fill no panel': { input: [2, 24, 13, 9], out: 7, kernel: 3, padding: 1 },
  '3x3 with stride 2': { input: [2, 20, 33, 31], out: 40, kernel: 3, padding: 1, stride: 2 },
  '3x3 in two groups': { input: [1, 80, 40, 20], out: 48, kernel: 3, padding: 1, groups: 2 },
  '3x3 dilated, without padding': { input: [1, 16, 17, 19], out: 12, kernel: 3, dilation: 2 },
  '1x1': { input: [3, 64, 16, 16], out: 130, kernel: 1 },
  '1x1 with stride 2': { input: [2, 48, 15, 15], out: 8, kernel: 1, stride: 2 },
  '7x7 with stride 2': { input: [1, 16, 30, 30], out: 16, kernel: 7, padding: 3, stride: 2 },
  'of narrow groups': { input: [2, 12, 8, 8], out: 8, kernel: 3, padding: 1, groups: 4 },
  'of one pixel': { input: [1, 32, 1, 1], out: 16, kernel: 3, padding: 1 },
};

/** The output of a case, and the gradients of its sum weighed by random numbers, for random tensors rounded to `rounded`. */
function run(
  { input, out, kernel, stride = 1, padding = 0, dilation = 1, groups = 1 }: Case,
  rounded: Dtype,
  computed = rounded,
): Tensor[] {
  manualSeed(1);
  const random = (shape: readonly number[]): Tensor => randn(shape).to(rounded).to(computed).detach();
  const make = (shape: readonly number[]): Tensor => random(shape).contiguous('channels_last').detach();
  const leaves = [make(input), make([out, input[1] / groups, kernel, kernel]), random([out])];
  for (const leaf of leaves) leaf.requiresGrad = true;
  const [x, weight, bias] = leaves as [Tensor, Tensor, Tensor];
  const output = aten.conv2d(x, weight, bias, stride, padding, dilation, groups);
  const upstream = make(output.shape);
  return [output, ...grad([output], leaves, { gradients: [upstream] })] as Tensor[];
}

/**
 * Expects what float64 computes. In bfloat16 all but a few values are the nearest ones: sums are taken in float32, and nothing else
 * is rounded before them.
 */
function expectExact(found: Tensor, exact: Tensor): void {
  expect(found.shape).toEqual(exact.shape);
  if (found.dtype === 'bfloat16') {
    const isOff = aten.ne.Tensor(found, exact.to('bfloat16'));
    expect(Number(isOff.to('float32').mean().item())).toBeLessThan(0.01);
  }
  expect(difference(found, exact)).toBeLessThan(found.dtype === 'bfloat16' ? 2 ** -8 : 5e-6);
}

const { cpuBfloat16 } = libtorchInfo();
const DTYPES = cpuBfloat16 === 'slow' ? (['float32'] as const) : (['float32', 'bfloat16'] as const);

describe.each(DTYPES)('a channels-last convolution in %s', (dtype) => {
  it.each(Object.entries(CASES))('and its gradients are those of float64: %s', (_name, settings) => {
    tidy(() => {
      const expected = run(settings, dtype, 'float64');
      for (const [i, found] of run(settings, dtype).entries()) {
        expect(found.dtype).toBe(dtype);
        expectExact(found, expected[i]!);
      }
    });
  });

  it('gives the same bits on one thread and on several', () => {
    const [one, two] = onOneAndTwoThreads(() =>
      tidy(() => run(CASES['3x3']!, dtype).map((tensor) => tensor.to('float32').toArray())),
    );
    expect(two).toEqual(one);
  });
});

describe('a channels-last convolution', () => {
  it.skipIf(cpuBfloat16 === 'slow')('takes bfloat16 in other layouts, transposed and in one dimension', () => {
    tidy(() => {
      manualSeed(4);
      const wide = [randn([2, 6, 9, 11]), randn([6, 8, 3, 3])] as const;
      const [x, weight] = wide.map((tensor) => tensor.to('bfloat16')) as [Tensor, Tensor];
      const exact = [x, weight].map((tensor) => tensor.to('float64')) as [Tensor, Tensor];
      const both = (convolve: (x: Tensor, weight: Tensor) => Tensor): void => {
        const found = convolve(x, weight);
        expect(found.dtype).toBe('bfloat16');
        expectExact(found, convolve(...exact));
      };
      both((input, kernel) => aten.conv_transpose2d.input(input, kernel));
      both((input, kernel) => aten.conv2d(input, kernel.transpose(0, 1)));
      both((input, kernel) => aten.conv1d(input.select(2, 0), kernel.transpose(0, 1).select(2, 0)));
    });
  });

  it.runIf(cpuBfloat16 === 'stored')(
    'under autocast rounds its input and output and neither weights nor their gradients',
    () => {
      tidy(() => {
        manualSeed(5);
        const x = randn([2, 32, 20, 24]).to('bfloat16').to('float32').contiguous('channels_last').detach();
        for (const kernel of [1, 3]) {
          const leaves = [randn([32, 32, kernel, kernel]).detach(), randn([32]).detach()];
          for (const leaf of leaves) leaf.requiresGrad = true;
          const [weight, bias] = leaves as [Tensor, Tensor];
          const output = autocast({}, () => aten.conv2d(x, weight, bias));
          const upstream = randn(output.shape).to('bfloat16').contiguous('channels_last');
          const gradients = grad([output], leaves, { gradients: [upstream] });
          const exact = aten.conv2d(x.to('float64'), weight.to('float64'), bias.to('float64'));
          const expected = grad([exact], leaves, { gradients: [upstream.to('float64')] });
          expect([output.dtype, ...gradients.map((one) => one!.dtype)]).toEqual(['bfloat16', 'float32', 'float32']);
          expectExact(output, exact);
          for (const [i, gradient] of gradients.entries()) expectExact(gradient!, expected[i]!);
        }
      });
    },
  );

  it('has gradients for the weights alone, and in another memory format', () => {
    tidy(() => {
      manualSeed(2);
      const x = randn([2, 16, 6, 6]);
      const weight = randn([8, 16, 3, 3]);
      weight.requiresGrad = true;
      const gradient = (input: Tensor): Tensor =>
        grad([aten.conv2d(input, weight, null, 1, 1).pow(2).sum()], [weight])[0]!;
      expect(difference(gradient(x.contiguous('channels_last')), gradient(x).to('float64'))).toBeLessThan(2e-6);
    });
  });

  it('refuses settings that are none in a sentence, as in another memory format', () => {
    tidy(() => {
      const plain = randn([1, 32, 16, 16]);
      const weight = randn([32, 32, 3, 3]);
      for (const x of [plain, plain.contiguous('channels_last')])
        for (const [stride, padding, dilation] of [
          [0, 1, 1],
          [[], 1, 1],
          [1, -1, 1],
          [1, 1, 0],
          [[1, 7, 1], 1, 1],
        ] as const)
          expect(() => aten.conv2d(x, weight, null, stride, padding, dilation)).toThrow(/aten::conv2d/);
      const input = plain.contiguous('channels_last');
      for (const bias of [randn([32]).to('float64'), randn([32, 1])]) {
        expect(() => aten.conv2d(input, weight, bias)).toThrow(/aten::conv2d/);
        expect(() => autocast({}, () => aten.conv2d(input, weight, bias))).toThrow(/aten::conv2d/);
      }
      const backward = operator('aten::convolution_backward');
      for (const dtype of ['float32', 'bfloat16'] as const)
        for (const [dySize, xSize, weightSize, groups] of [
          [[1, 16, 6, 6], [1, 32, 8, 8], [16, 16, 3, 3], 1],
          [[1, 16, 2, 2], [1, 32, 80, 80], [16, 32, 3, 3], 1],
          [[1, 16, 2, 2], [1, 32, 4, 4], [16, 32, 3, 3], 0],
        ] as const) {
          const [dy, x, kernel] = [dySize, xSize, weightSize].map((size) =>
            randn(size).to(dtype).contiguous('channels_last'),
          );
          const settings = [[1, 1], [0, 0], [1, 1], false, [0, 0], groups, [false, true, false]] as const;
          expect(() => backward(dy!, x!, kernel!, null, ...settings)).toThrow(/aten::convolution_backward/);
        }
      const transform = operator('aaunet::winograd_weights');
      expect(() => transform(weight, [1, 32, 16, 16], [0, 0], [1, 1], [1, 1], 1)).toThrow(/expected stride/);
    });
  });

  it('still has second derivatives', () => {
    tidy(() => {
      manualSeed(3);
      const x = randn([1, 16, 5, 5]).contiguous('channels_last').detach();
      const weight = randn([4, 16, 3, 3]).detach();
      for (const leaf of [x, weight]) leaf.requiresGrad = true;
      const second = (wide: boolean): Tensor => {
        const [a, b] = wide ? [x.to('float64'), weight.to('float64')] : [x, weight];
        const [first] = grad([aten.conv2d(a, b, null, 1, 1).pow(2).sum()], [b], { createGraph: true });
        return grad([first!.pow(2).sum()], [x])[0]!;
      };
      expect(difference(second(false), second(true).to('float64'))).toBeLessThan(1e-5);
    });
  });
});
