import { describe, expect, it } from 'vitest';

import { grad } from '../autograd.js';
import { aten, operator } from '../operators.js';
import { manualSeed } from '../runtime.js';
import { tidy } from '../scope.js';
import { randn } from '../create.js';
import type { Tensor } from '../tensor.js';
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

/** The output of a case, and the gradients of its sum weighed by random numbers, for random tensors rounded to float32. */
function run({ input, out, kernel, stride = 1, padding = 0, dilation = 1, groups = 1 }: Case, wide: boolean): Tensor[] {
  manualSeed(1);
  const make = (shape: readonly number[]): Tensor => {
    const values = randn(shape).contiguous('channels_last');
    return (wide ? values.to('float64') : values).detach();
  };
  const leaves = [
    make(input),
    make([out, input[1] / groups, kernel, kernel]),
    randn([out])
      .to(wide ? 'float64' : 'float32')
      .detach(),
  ];
  for (const leaf of leaves) leaf.requiresGrad = true;
  const [x, weight, bias] = leaves as [Tensor, Tensor, Tensor];
  const output = aten.conv2d(x, weight, bias, stride, padding, dilation, groups);
  const upstream = make(output.shape);
  return [output, ...grad([output], leaves, { gradients: [upstream] })] as Tensor[];
}

describe('a channels-last convolution in float32', () => {
  it.each(Object.entries(CASES))('and its gradients are those of float64: %s', (_name, settings) => {
    tidy(() => {
      const expected = run(settings, true);
      for (const [i, found] of run(settings, false).entries()) {
        expect(found.shape).toEqual(expected[i]!.shape);
        expect(difference(found, expected[i]!)).toBeLessThan(5e-6);
      }
    });
  });

  it('gives the same bits on one thread and on several', () => {
    const [one, two] = onOneAndTwoThreads(() =>
      tidy(() => run(CASES['3x3']!, false).map((tensor) => tensor.toArray())),
    );
    expect(two).toEqual(one);
  });

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
