import { describe, expect, it } from 'vitest';

import { grad } from '../autograd.js';
import { cat, randn, zeros } from '../create.js';
import { gradCheck } from '../grad-check.js';
import { aten, operator } from '../operators.js';
import { manualSeed } from '../runtime.js';
import { tidy } from '../scope.js';
import type { Dtype, Tensor } from '../tensor.js';
import { difference } from '../testing/difference.js';
import { onOneAndTwoThreads } from '../testing/on-threads.js';
import { concatenateResized, Upsample, type ResizeMode } from './resample.js';

const clast = (tensor: Tensor): Tensor => tensor.contiguous('channels_last');
const kernel = operator('aaunet::concatenate_resized');

type Size = readonly [number, number];

/** Images' channels and sizes, and the size of the result: enlarged, reduced, by odd factors, as they are, of one pixel. */
const CASES: { images: readonly [channels: number, height: number, width: number][]; size: Size }[] = [
  { images: [[16, 5, 7]], size: [10, 14] },
  {
    images: [
      [8, 6, 6],
      [3, 6, 6],
    ],
    size: [12, 12],
  },
  {
    images: [
      [5, 9, 4],
      [64, 3, 2],
      [1, 1, 1],
    ],
    size: [9, 4],
  },
  { images: [[4, 12, 10]], size: [5, 3] },
  {
    images: [
      [9, 4, 4],
      [7, 4, 4],
    ],
    size: [4, 4],
  },
  { images: [[2, 3, 5]], size: [1, 11] },
  {
    images: [
      [16, 100, 90],
      [16, 200, 180],
    ],
    size: [200, 180],
  },
];

const MODES: ResizeMode[] = ['nearest', 'bilinear', 'aligned'];
const TOLERANCE = { float64: 1e-12, float32: 2e-5, bfloat16: 1e-2 } as const;

function composite(tensors: readonly Tensor[], size: Size, mode: ResizeMode): Tensor {
  const resized = tensors.map((one) =>
    mode === 'nearest'
      ? aten.upsample_nearest2d.vec(one, size, null)
      : aten.upsample_bilinear2d.vec(one, size, mode === 'aligned', null),
  );
  return cat(resized, 1);
}

describe.each(MODES)('aaunet::concatenate_resized, %s', (mode) => {
  it.each(Object.keys(TOLERANCE) as (keyof typeof TOLERANCE)[])(
    'is the composite in float64, and so are its gradients: %s',
    (dtype) => {
      for (const { images, size } of CASES)
        tidy(() => {
          manualSeed(1);
          const leaves = images.map((shape) => clast(randn([2, ...shape]).to(dtype as Dtype)).detach());
          const wide = leaves.map((leaf) => leaf.to('float64').clone().detach());
          for (const leaf of [...leaves, ...wide]) leaf.requiresGrad = true;
          const [output, expected] = [kernel(leaves, size, mode) as Tensor, composite(wide, size, mode)];
          expect(output.dtype).toBe(dtype);
          expect(output.shape).toEqual(expected.shape);
          expect(output.isContiguous('channels_last')).toBe(true);
          expect(difference(output, expected)).toBeLessThan(TOLERANCE[dtype]);
          const upstream = randn(output.shape).to(dtype);
          const found = grad([output], leaves, { gradients: [upstream] });
          const wanted = grad([expected], wide, { gradients: [upstream.to('float64')] });
          for (const [i, gradient] of found.entries()) {
            expect(gradient!.shape).toEqual(leaves[i]!.shape);
            // In bfloat16 a reduced image's pixel is a sum of many.
            expect(difference(gradient!, wanted[i]!)).toBeLessThan(4 * TOLERANCE[dtype]);
          }
        });
    },
  );

  it('has the gradients of finite differences', () => {
    manualSeed(2);
    tidy(() => {
      const given = [randn([2, 3, 3, 4], { dtype: 'float64' }), randn([2, 2, 5, 5], { dtype: 'float64' })];
      const call = (...images: Tensor[]): Tensor => kernel(images.map(clast), [6, 8], mode) as Tensor;
      expect(gradCheck(call, given)).toBeLessThan(1e-6);
    });
  });

  it('gives no gradient to an image that wants none', () => {
    tidy(() => {
      const [constant, leaf] = [clast(randn([1, 2, 3, 3])), clast(randn([1, 2, 3, 3])).detach()];
      leaf.requiresGrad = true;
      const output = kernel([constant, leaf], [3, 3], mode) as Tensor;
      expect(grad([output.sum()], [leaf])[0]!.toArray()).toEqual(Array(18).fill(1));
    });
  });

  it('computes the same for images in another memory format', () => {
    tidy(() => {
      const images = [randn([2, 3, 4, 5]), randn([2, 2, 8, 10])];
      const apart = concatenateResized(images, { mode });
      expect(apart.shape).toEqual([2, 5, 8, 10]);
      expect(difference(apart, concatenateResized(images.map(clast), { mode }))).toBeLessThan(1e-5);
    });
  });

  it('gives the same bits on one thread and on several', () => {
    tidy(() => {
      const x = clast(randn([2, 32, 96, 96])).detach();
      x.requiresGrad = true;
      const run = (): number[][] => {
        const output = kernel([x], [192, 192], mode) as Tensor;
        return [output, ...grad([output.mul(output).sum()], [x])].map((tensor) => tensor!.toArray());
      };
      const [one, two] = onOneAndTwoThreads(run);
      expect(two).toEqual(one);
    });
  });
});

it('takes the pixels that LibTorch takes where sizes have no common factor', () => {
  tidy(() => {
    for (const [from, to] of [
      [2, 82],
      [19, 46],
      [26, 19],
      [28, 46],
    ] as const) {
      const x = randn([1, 2, from, 3]);
      const found = kernel([clast(x)], [to, 5], 'nearest') as Tensor;
      expect(difference(found, aten.upsample_nearest2d(x, [to, 5]))).toBe(0);
    }
  });
});

it('leaves what it has no kernel for to LibTorch: whole numbers, and batches without images', () => {
  tidy(() => {
    const x = randn([1, 2, 3, 3]).mul(20).add(90).to('uint8');
    const [found, expected] = [clast(x), x].map((one) => new Upsample({ scaleFactor: 2 }).forward(one));
    expect(found!.toArray()).toEqual(expected!.toArray());
    expect(new Upsample({ scaleFactor: 2, mode: 'nearest' }).forward(clast(zeros([0, 2, 3, 3]))).shape).toEqual([
      0, 2, 6, 6,
    ]);
  });
});

it('refuses what does not fit, in a sentence, and second derivatives', () => {
  tidy(() => {
    const x = clast(randn([2, 4, 3, 3]));
    const call =
      (...given: unknown[]): (() => unknown) =>
      () =>
        kernel(...given);
    expect(call([], [3, 3], 'nearest')).toThrow(/expected at least one/);
    expect(call([x], [3], 'nearest')).toThrow(/size: expected height and width/);
    expect(call([x], [0, 3], 'nearest')).toThrow(/size: expected height and width/);
    expect(call([x], [3, 3], 'cubic')).toThrow(/mode: expected nearest, bilinear or aligned, found cubic/);
    expect(call([x, clast(randn([1, 4, 3, 3]))], [3, 3], 'nearest')).toThrow(/expected 2 images of Float/);
    expect(call([x, x.to('float64')], [3, 3], 'nearest')).toThrow(/expected 2 images of Float/);
    const leaf = x.detach();
    leaf.requiresGrad = true;
    const output = concatenateResized([leaf], { size: [6, 6] });
    expect(() => grad([output.mul(output).sum()], [leaf], { createGraph: true })).toThrow(/no second derivative/);
  });
});
