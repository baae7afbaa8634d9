import {
  aten,
  fromTypedArray,
  grad,
  gradCheck,
  manualSeed,
  memoryStats,
  randn,
  tensor,
  tidy,
  type Tensor,
} from '@aaunet/torch';
import { describe, expect, it } from 'vitest';

import { focalLoss } from './focal.js';

/** N x H x W classes. */
function classes(values: readonly number[], shape: readonly number[]): Tensor {
  return fromTypedArray(BigInt64Array.from(values, BigInt), shape);
}

describe('focalLoss', () => {
  it('is the cross entropy where gamma is 0 and the weights are equal', () => {
    manualSeed(0);
    tidy(() => {
      const logits = randn([2, 8, 3, 4], { dtype: 'float64' });
      const target = classes(
        Array.from({ length: 24 }, (_, i) => (i * 5) % 8),
        [2, 3, 4],
      );
      const weights = tensor(new Array(8).fill(1), { dtype: 'float64' });
      const reference = aten.cross_entropy_loss(logits, target);
      expect(focalLoss(logits, target, weights, 0).item()).toBeCloseTo(Number(reference.item()), 14);
    });
  });

  it('is what a hand computes for two pixels of two classes', () => {
    tidy(() => {
      // Probabilities of the true class: 3/4 (class 0, weight 2) and 1/5 (class 1, weight 0.5).
      const logits = tensor([[[[Math.log(3), Math.log(4)]], [[0, 0]]]], { dtype: 'float64' });
      const target = classes([0, 1], [1, 1, 2]);
      const weights = tensor([2, 0.5], { dtype: 'float64' });
      const expected = (-2 * 0.25 ** 2 * Math.log(0.75) - 0.5 * 0.8 ** 2 * Math.log(0.2)) / 2;
      expect(focalLoss(logits, target, weights, 2).item()).toBeCloseTo(expected, 14);
    });
  });

  it('counts a pixel by the weight of its true class alone', () => {
    manualSeed(1);
    tidy(() => {
      const logits = randn([1, 3, 2, 2]);
      const target = classes([1, 1, 1, 1], [1, 2, 2]);
      const loss = (weights: number[]): number => Number(focalLoss(logits, target, tensor(weights)).item());
      expect(loss([1, 3, 1])).toBeCloseTo(3 * loss([1, 1, 1]), 6);
      expect(loss([9, 1, 9])).toBe(loss([1, 1, 1]));
    });
  });

  it('has the gradients of finite differences', () => {
    manualSeed(2);
    tidy(() => {
      const logits = randn([2, 4, 3, 2], { dtype: 'float64' });
      const target = classes([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3], [2, 3, 2]);
      const weights = tensor([0.05, 1, 4, 2], { dtype: 'float64' });
      for (const gamma of [0, 0.5, 1, 2, 3.5])
        expect(gradCheck((x) => focalLoss(x, target, weights, gamma), [logits])).toBeLessThan(1e-6);
    });
  });

  it.each([0, 0.5, 1, 2])('stays finite, gradients too, where the network is sure (gamma %d)', (gamma) => {
    tidy(() => {
      const logits = tensor([[[[200, -200]], [[-200, 200]]]]);
      logits.requiresGrad = true;
      for (const truth of [
        [0, 1],
        [1, 0],
      ]) {
        const loss = focalLoss(logits, classes(truth, [1, 1, 2]), tensor([1, 1]), gamma);
        expect(loss.item()).toBeCloseTo(truth[0] === 0 ? 0 : 400, 4);
        expect(grad([loss], [logits])[0]!.toArray().every(Number.isFinite)).toBe(true);
      }
    });
  });

  it('is computed in float32 from bfloat16 logits', () => {
    manualSeed(3);
    tidy(() => {
      const logits = randn([1, 8, 4, 4]).to('bfloat16');
      const target = classes(new Array<number>(16).fill(3), [1, 4, 4]);
      const weights = tensor(new Array(8).fill(1));
      const loss = focalLoss(logits, target, weights);
      expect(loss.dtype).toBe('float32');
      expect(loss.item()).toBe(focalLoss(logits.to('float32'), target, weights).item());
    });
  });

  it('leaves nothing behind but its result', () => {
    using logits = randn([1, 8, 4, 4]);
    using target = classes(new Array<number>(16).fill(3), [1, 4, 4]);
    using weights = tensor(new Array(8).fill(1));
    const { tensors } = memoryStats();
    focalLoss(logits, target, weights).dispose();
    expect(memoryStats().tensors).toBe(tensors);
  });
});
