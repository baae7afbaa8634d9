import { describe, expect, it } from 'vitest';

import { autocast, grad } from '../autograd.js';
import { cat, fromTypedArray, rand, randn, tensor } from '../create.js';
import { gradCheck } from '../grad-check.js';
import { aten, operator } from '../operators.js';
import { manualSeed } from '../runtime.js';
import { tidy } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { difference } from '../testing/difference.js';
import { onOneAndTwoThreads } from '../testing/on-threads.js';
import { focalLoss } from './focal-loss.js';

const clast = (tensor: Tensor): Tensor => tensor.contiguous('channels_last');
const bits = (sets: readonly (readonly number[])[]): number[] =>
  sets.map((of) => of.reduce((sum, id) => sum + 2 ** id, 0));
const kernel = operator('aaunet::focal_loss') as (...given: unknown[]) => Tensor;

/** The loss by its definition, in the type of the logits. */
function composite(logits: Tensor, target: Tensor, weights: Tensor, sets: readonly number[][], gamma: number): Tensor {
  const logProbability = logits.logSoftmax(1);
  const logSums = sets.map((of) =>
    aten.logsumexp(
      cat(
        of.map((id) => logProbability.narrow(1, id, 1)),
        1,
      ),
      [1],
      true,
    ),
  );
  const chosen = aten.gather(cat(logSums, 1), 1, target.unsqueeze(1)).squeeze(1);
  return chosen.exp().neg().add(1).pow(gamma).mul(chosen).mul(aten.take(weights, target)).mean().neg();
}

const plain = (classes: number): number[][] => Array.from({ length: classes }, (_, id) => [id]);
/** Sizes that fill vectors and threads, and that do not; labels of one candidate and of several. */
const CASES: { shape: readonly [number, number, number, number]; sets: number[][] }[] = [
  { shape: [2, 8, 13, 11], sets: plain(8) },
  { shape: [1, 8, 7, 5], sets: [[0, 5, 6], [1], [2], [3], [4], [0, 5, 6], [0, 5, 6], [7], [1, 2, 3, 4, 7]] },
  { shape: [3, 2, 1, 3], sets: plain(2) },
  { shape: [1, 31, 3, 9], sets: plain(31) },
  { shape: [2, 8, 160, 144], sets: plain(8) },
];
const TOLERANCE = { float64: 1e-13, float32: 1e-5, bfloat16: 8e-3 } as const;

function labelsOf(count: number, shape: readonly number[]): Tensor {
  const size = shape.reduce((product, length) => product * length, 1);
  return fromTypedArray(
    BigInt64Array.from({ length: size }, (_, i) => BigInt((i * 7 + (i >> 3)) % count)),
    shape,
  );
}

describe('aaunet::focal_loss', () => {
  it.each(Object.keys(TOLERANCE) as (keyof typeof TOLERANCE)[])(
    'is the composite in float64, and so is its gradient: %s',
    (dtype) => {
      for (const { shape, sets } of CASES)
        for (const gamma of [0, 0.5, 1, 2, 3.5])
          tidy(() => {
            manualSeed(1);
            // From a guess to certainty.
            const leaf = clast(
              randn(shape)
                .mul(rand([shape[0], 1, shape[2], shape[3]]).mul(8))
                .to(dtype),
            ).detach();
            const wide = leaf.to('float64').clone().detach();
            for (const one of [leaf, wide]) one.requiresGrad = true;
            const target = labelsOf(sets.length, [shape[0], shape[2], shape[3]]);
            const weights = rand([sets.length], { dtype: 'float64' });
            const loss = kernel(leaf, target, weights, bits(sets), gamma);
            const expected = composite(wide, target, weights, sets, gamma);
            expect(loss.dtype).toBe(dtype === 'float64' ? 'float64' : 'float32');
            expect(loss.shape).toEqual([]);
            // Computed in float32 at least: the logits are the same numbers.
            expect(difference(loss, expected)).toBeLessThan(Math.min(TOLERANCE[dtype], 2e-6));
            const [found] = grad([loss.mul(3)], [leaf]);
            const [wanted] = grad([expected.mul(3)], [wide]);
            expect(found!.dtype).toBe(dtype);
            expect(found!.isContiguous('channels_last')).toBe(true);
            expect(difference(found!, wanted!)).toBeLessThan(TOLERANCE[dtype]);
          });
    },
  );

  it('has the gradients of finite differences', () => {
    manualSeed(2);
    tidy(() => {
      const { sets } = CASES[1]!;
      const [target, weights] = [labelsOf(9, [2, 3, 4]), rand([9], { dtype: 'float64' })];
      for (const gamma of [0, 0.5, 2])
        expect(
          gradCheck(
            (x) => kernel(clast(x), target, weights, bits(sets), gamma),
            [randn([2, 8, 3, 4], { dtype: 'float64' })],
          ),
        ).toBeLessThan(1e-6);
    });
  });

  it.each([0, 0.5, 2])('stays finite and right where the network is all but sure, and wrong: gamma %d', (gamma) => {
    tidy(() => {
      for (const [margin, expected] of [
        [200, 0],
        [-200, 400 + Math.log(2)],
      ] as const) {
        const logits = clast(tensor([[[[margin]], [[-margin]], [[-margin]]]]));
        logits.requiresGrad = true;
        const loss = kernel(logits, labelsOf(1, [1, 1, 1]), tensor([1]), [1], gamma);
        expect(loss.item()).toBeCloseTo(expected, 3);
        const slope = grad([loss], [logits])[0]!.toArray();
        slope.forEach((value, c) => {
          expect(value).toBeCloseTo(expected === 0 ? 0 : c === 0 ? -1 : 0.5, 4);
        });
      }
    });
  });

  it('adds exactly nothing where a pixel may be anything', () => {
    manualSeed(3);
    tidy(() => {
      const logits = clast(randn([2, 8, 5, 5])).detach();
      logits.requiresGrad = true;
      for (const gamma of [0, 0.5, 2]) {
        const loss = kernel(logits, labelsOf(1, [2, 5, 5]), tensor([1]), [255], gamma);
        expect(Math.abs(Number(loss.item()))).toBe(0);
        expect(
          grad([loss], [logits])[0]!
            .toArray()
            .every((value) => value === 0),
        ).toBe(true);
      }
    });
  });

  it.each([NaN, Infinity])('hides no %d of the logits', (value) => {
    tidy(() => {
      for (let place = 0; place < 3; place++) {
        const logits = clast(tensor([[[[0]], [[0]], [[0]]]]));
        logits.select(1, place).fill_(value);
        for (const label of [0, 2]) {
          const target = fromTypedArray(BigInt64Array.of(BigInt(label)), [1, 1, 1]);
          expect(kernel(logits, target, tensor([1, 1, 1]), [1, 2, 4], 2).item()).not.toSatisfy(Number.isFinite);
        }
      }
    });
  });

  it('is computed in float32 from bfloat16 under autocast too, and is the same in other memory formats', () => {
    manualSeed(4);
    tidy(() => {
      const [logits, target, weights] = [clast(randn([2, 8, 6, 7])), labelsOf(8, [2, 6, 7]), rand([8])];
      const options = { weights, candidates: plain(8), gamma: 2 };
      const half = logits.to('bfloat16');
      const loss = autocast({}, () => focalLoss(half, target, options));
      expect(loss.dtype).toBe('float32');
      expect(loss.item()).toBe(focalLoss(half.to('float32'), target, options).item());
      const expected = focalLoss(logits, target, options).item();
      expect(focalLoss(logits.contiguous(), target, options).item()).toBeCloseTo(Number(expected), 6);
    });
  });

  it('has a gradient for the weights of the types, too, where they want one', () => {
    manualSeed(6);
    tidy(() => {
      const [logits, target] = [randn([1, 3, 4, 5]), labelsOf(3, [1, 4, 5])];
      const gradient = (image: Tensor): number[] => {
        const weights = tensor([1, 2, 3]);
        weights.requiresGrad = true;
        const loss = focalLoss(image, target, { weights, candidates: plain(3), gamma: 2 });
        return grad([loss], [weights])[0]!.toArray();
      };
      expect(gradient(clast(logits))).toEqual(gradient(logits));
    });
  });

  it('gives the same bits on one thread and on several', () => {
    manualSeed(5);
    tidy(() => {
      const logits = clast(randn([2, 8, 200, 201])).detach();
      logits.requiresGrad = true;
      const [target, weights] = [labelsOf(8, [2, 200, 201]), rand([8])];
      const run = (): number[][] => {
        const loss = kernel(logits, target, weights, bits(plain(8)), 2);
        return [loss, ...grad([loss], [logits])].map((one) => one!.toArray());
      };
      const [one, two] = onOneAndTwoThreads(run);
      expect(two).toEqual(one);
    });
  });

  it('refuses what does not fit, in a sentence, and second derivatives', () => {
    tidy(() => {
      const logits = clast(randn([1, 3, 2, 2])).detach();
      const [target, weights, sets] = [labelsOf(3, [1, 2, 2]), rand([3]), [1, 2, 4]];
      const call =
        (...given: unknown[]): (() => unknown) =>
        () =>
          kernel(...given);
      expect(call(logits, target.add(1), weights, sets, 2)).toThrow(/target: expected labels from 0 to 2/);
      expect(call(logits, target.sub(1), weights, sets, 2)).toThrow(/target: expected labels from 0 to 2/);
      expect(call(logits, target.to('float32'), weights, sets, 2)).toThrow(/target: expected Long/);
      expect(call(logits, labelsOf(3, [1, 2, 3]), weights, sets, 2)).toThrow(/target: expected Long of \[1, 2, 2\]/);
      expect(call(logits, target, rand([2]), sets, 2)).toThrow(/weights: expected 3 floats/);
      expect(call(logits, target, weights, [1, 2, 0], 2)).toThrow(/none of them empty/);
      expect(call(logits, target, weights, [1, 2, 8], 2)).toThrow(/sets of the 3 classes/);
      expect(call(logits, target, weights, sets, -1)).toThrow(/gamma: expected a number from 0 on/);
      expect(call(clast(randn([1, 32, 2, 2])), target, weights, sets, 2)).toThrow(/at most 31 classes/);
      logits.requiresGrad = true;
      const loss = kernel(logits, target, weights, sets, 2);
      expect(() => grad([loss], [logits], { createGraph: true })).toThrow(/no second derivative/);
    });
  });
});
