import { aten, fromTypedArray, grad, gradCheck, manualSeed, memoryStats, randn, tensor, tidy } from '@aaunet/torch';
import type { Tensor } from '@aaunet/torch';
import { LABELS, type LabelName } from '@aaunet/imaging';
import { describe, expect, it } from 'vitest';

import { focalLoss } from './focal.js';
import { candidateClasses, focalCriterion, partialFocalLoss } from './partial-focal.js';

const ALL = LABELS.map(({ name }) => name);
const PUBLIC = ['ICH', 'SDH', 'SAH', 'EDH', 'IVH'] as const satisfies readonly LabelName[];

/** N x H x W labels. */
function labels(values: readonly number[], shape: readonly number[]): Tensor {
  return fromTypedArray(BigInt64Array.from(values, BigInt), shape);
}

/** One pixel whose classes have these probabilities. */
function pixel(probabilities: readonly number[]): Tensor {
  return tensor([probabilities.map((probability) => [[Math.log(probability)]])], { dtype: 'float64' });
}

const ones = (count: number): Tensor => tensor(new Array<number>(count).fill(1), { dtype: 'float64' });

describe('candidateClasses', () => {
  it('lets background be what is not marked, and an unknown type what may be under it', () => {
    const five = candidateClasses({ annotated: PUBLIC, untyped: [], hasUnknown: false });
    expect(five).toEqual({ background: [0, 5, 6], unknown: [] });
    const binary = candidateClasses({ annotated: [], untyped: PUBLIC, hasUnknown: true });
    expect(binary).toEqual({ background: [0, 5, 6], unknown: [1, 2, 3, 4, 7] });
    expect(candidateClasses({ annotated: ALL, untyped: [], hasUnknown: false }).background).toEqual([0]);
  });
});

describe('partialFocalLoss', () => {
  const probabilities = [0.3, 0.1, 0.05, 0.05, 0.1, 0.2, 0.15, 0.05];
  const candidates = { background: [0, 5, 6], unknown: [1, 2] };

  it('is what a hand computes: the candidates of a label count together', () => {
    tidy(() => {
      const loss = (label: number, gamma: number): number =>
        Number(partialFocalLoss(pixel(probabilities), labels([label], [1, 1, 1]), ones(9), candidates, gamma).item());
      const of = (q: number, gamma: number): number => -((1 - q) ** gamma) * Math.log(q);
      for (const gamma of [0, 1, 2]) {
        expect(loss(0, gamma)).toBeCloseTo(of(0.65, gamma), 13);
        expect(loss(3, gamma)).toBeCloseTo(of(0.05, gamma), 13);
        expect(loss(8, gamma)).toBeCloseTo(of(0.15, gamma), 13);
        // A type that is not marked cannot be taught, even where a file holds its label.
        expect(loss(5, gamma)).toBeCloseTo(of(0.65, gamma), 13);
      }
    });
  });

  it('moves the classes that background may be as one: their shares within it get no gradient of their own', () => {
    tidy(() => {
      const logits = pixel(probabilities);
      logits.requiresGrad = true;
      const loss = partialFocalLoss(logits, labels([0], [1, 1, 1]), ones(9), candidates, 0);
      const found = grad([loss], [logits])[0]!.toArray();
      // d(-log q)/dz_c = p_c - [c in candidates] p_c / q.
      probabilities.forEach((p, c) => {
        expect(found[c]).toBeCloseTo(candidates.background.includes(c) ? p - p / 0.65 : p, 13);
        // Plain cross entropy would push the types that are not marked down (p > 0); here they are not.
        if (c === 5 || c === 6) expect(found[c]).toBeLessThan(0);
      });
    });
  });

  it('adds exactly nothing, to loss and gradients, where a voxel may be anything', () => {
    tidy(() => {
      manualSeed(1);
      const logits = randn([2, 8, 3, 3]);
      logits.requiresGrad = true;
      const target = labels(new Array<number>(18).fill(8), [2, 3, 3]);
      for (const gamma of [0, 2]) {
        const weights = tensor(new Array<number>(9).fill(1));
        const loss = partialFocalLoss(logits, target, weights, { background: [0, 5], unknown: [] }, gamma);
        expect(Number(loss.item()) + 0).toBe(0);
        expect(
          new Set(
            grad([loss], [logits], { allowUnused: true })[0]
              ?.toArray()
              .map((value) => value + 0) ?? [0],
          ),
        ).toEqual(new Set([0]));
      }
    });
  });

  it('counts a pixel the same however many of its neighbours are unknown', () => {
    tidy(() => {
      manualSeed(2);
      const logits = randn([1, 8, 1, 4], { dtype: 'float64' });
      const gradientOf = (values: number[]): number[] => {
        const leaf = logits.detach().clone();
        leaf.requiresGrad = true;
        const loss = partialFocalLoss(leaf, labels(values, [1, 1, 4]), ones(9), { background: [0, 5], unknown: [] });
        return grad([loss], [leaf])[0]!.toArray();
      };
      const [known, mixed] = [gradientOf([1, 2, 0, 3]), gradientOf([1, 8, 8, 8])];
      for (let c = 0; c < 8; c++) expect(mixed[4 * c]).toBe(known[4 * c]);
    });
  });

  it('has the gradients of finite differences', () => {
    manualSeed(3);
    tidy(() => {
      const logits = randn([2, 8, 2, 3], { dtype: 'float64' });
      const target = labels([0, 1, 8, 3, 4, 0, 7, 5, 8, 2, 0, 6], [2, 2, 3]);
      const weights = tensor([0.05, 1, 1.5, 1, 2, 4, 4, 1, 1.2], { dtype: 'float64' });
      for (const gamma of [0, 1, 2])
        for (const unknown of [[], [1, 2], [1, 2, 3, 4, 7]])
          expect(
            gradCheck((x) => partialFocalLoss(x, target, weights, { background: [0, 5, 6], unknown }, gamma), [logits]),
          ).toBeLessThan(1e-6);
    });
  });

  it('is the focal loss where every label has one candidate', () => {
    manualSeed(4);
    tidy(() => {
      const logits = randn([2, 8, 4, 4], { dtype: 'float64' });
      const target = labels(
        Array.from({ length: 32 }, (_, i) => (i * 3) % 8),
        [2, 4, 4],
      );
      const weights = tensor([0.05, 1, 1.5, 1, 2, 4, 4, 1, 0], { dtype: 'float64' });
      const partial = partialFocalLoss(logits, target, weights, { background: [0], unknown: [] });
      expect(partial.item()).toBeCloseTo(Number(focalLoss(logits, target, weights).item()), 14);
    });
  });

  it('stays finite, gradients too, where the network is sure and wrong', () => {
    tidy(() => {
      const logits = tensor([Array.from({ length: 8 }, (_, c) => [[c === 3 ? 200 : -200, c === 0 ? 200 : -200]])]);
      logits.requiresGrad = true;
      for (const truth of [
        [0, 8],
        [8, 3],
        [3, 0],
      ]) {
        const loss = partialFocalLoss(
          logits,
          labels(truth, [1, 1, 2]),
          tensor(new Array<number>(9).fill(1)),
          candidates,
        );
        expect(Number.isFinite(loss.item())).toBe(true);
        expect(grad([loss], [logits])[0]!.toArray().every(Number.isFinite)).toBe(true);
      }
    });
  });
});

describe('focalCriterion', () => {
  const weights = [0.05, 1, 1.5, 1, 2, 4, 4, 1];
  const options = { gamma: 2, device: 'cpu' };

  it('is the very same focal loss, bit for bit, where everything is annotated', () => {
    manualSeed(5);
    using criterion = focalCriterion({ annotated: ALL, untyped: [], hasUnknown: false }, weights, options);
    tidy(() => {
      const logits = randn([2, 8, 8, 8]);
      const target = labels(
        Array.from({ length: 128 }, (_, i) => (i * 7) % 8),
        [2, 8, 8],
      );
      const expected = focalLoss(logits, target, tensor(weights), 2);
      expect(aten.equal(criterion.of(logits, target), expected)).toBe(true);
    });
  });

  it('weighs a voxel of unknown type as the mean of what it may be', () => {
    using criterion = focalCriterion(
      { annotated: ['EDH'], untyped: ['ICH', 'SDH'], hasUnknown: true },
      weights,
      options,
    );
    tidy(() => {
      const loss = criterion.of(pixel([0.2, 0.1, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1]), labels([8], [1, 1, 1]));
      expect(Number(loss.item())).toBeCloseTo(-1.25 * 0.8 ** 2 * Math.log(0.2), 6);
    });
  });

  it('leaves nothing behind', () => {
    const { tensors } = memoryStats();
    {
      using criterion = focalCriterion({ annotated: PUBLIC, untyped: [], hasUnknown: true }, weights, options);
      tidy(() => {
        criterion.of(randn([1, 8, 2, 2]), labels([0, 1, 8, 3], [1, 2, 2])).dispose();
      });
    }
    expect(memoryStats().tensors).toBe(tensors);
  });
});
