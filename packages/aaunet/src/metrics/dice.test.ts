import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DiceAccumulator, type EmptyConvention } from './dice.js';

const all = ['ICH', 'SDH', 'SAH', 'EDH', 'CSDH', 'Pneumocranium', 'IVH'];

interface Slice {
  name: string;
  truth: number[];
  prediction: number[];
}

function score(slices: Slice[], empty: EmptyConvention = 'nan', annotated = all) {
  const accumulator = new DiceAccumulator(annotated, empty);
  for (const { name, truth, prediction } of slices) {
    accumulator.addSlice(name, Uint8Array.from(truth), Uint8Array.from(prediction));
  }
  return accumulator.finish();
}

const example: Slice[] = [
  { name: 'a', truth: [1, 1, 0, 0], prediction: [1, 0, 1, 0] }, // Dice 2/4
  { name: 'a', truth: [1, 1, 1, 1], prediction: [1, 1, 1, 1] }, // Dice 1
  { name: 'a', truth: [0, 0, 0, 0], prediction: [1, 0, 0, 0] }, // false positive
  { name: 'b', truth: [1, 0, 0, 0], prediction: [0, 0, 0, 0] }, // Dice 0
  { name: 'c', truth: [0, 0, 0, 2], prediction: [0, 0, 0, 2] }, // no ICH at all
];

describe('DiceAccumulator', () => {
  it('gives the three aggregations by hand for a small example', () => {
    const ich = score(example).classes[0]!;
    // Pooled: |T| = 7, |P| = 7, |T ∩ P| = 5.
    expect(ich.pooled.dice).toBeCloseTo(10 / 14, 15);
    expect(ich.pooled).toMatchObject({ n: 7, predicted: 7, precision: 5 / 7, recall: 5 / 7, iou: 5 / 9 });
    // Case a: 2·5/(6+7); case b: 0; case c is empty and does not count.
    expect(ich.cases.n).toBe(2);
    expect(ich.cases.dice).toBeCloseTo((10 / 13 + 0) / 2, 15);
    // Positive slices: 0.5, 1, 0; the false positive on an empty slice does not count here.
    expect(ich.slices.n).toBe(3);
    expect(ich.slices.dice).toBeCloseTo(0.5, 15);
  });

  it('counts both-empty cases as 1 only under that convention', () => {
    const one = score(example, 'one').classes;
    expect(one[0]!.cases).toEqual({ dice: (10 / 13 + 0 + 1) / 3, n: 3 });
    expect(one[2]!.pooled.dice).toBe(1);
    const nan = score(example).classes;
    expect(nan[2]!.pooled).toMatchObject({ dice: NaN, iou: NaN, precision: NaN, recall: NaN, n: 0 });
    expect(nan[2]!.cases).toEqual({ dice: NaN, n: 0 });
  });

  it('scores no type that the data set does not mark, and leaves it out of the mean', () => {
    const scores = score(example, 'one', ['SDH']);
    expect(scores.classes[0]).toMatchObject({ annotated: false, pooled: { dice: NaN, n: 0 }, cases: { n: 0 } });
    expect(scores.mean.pooled).toEqual({ dice: 1, n: 1 });
  });

  it('averages over the classes that have a score', () => {
    const scores = score(example);
    expect(scores.mean.pooled.n).toBe(2);
    expect(scores.mean.pooled.dice).toBeCloseTo((10 / 14 + 1) / 2, 15);
    expect(scores).toMatchObject({ caseCount: 3, sliceCount: 5 });
    expect(scores.confusion[1]![0]).toBe(2);
    expect(scores.confusion[0]![1]).toBe(2);
  });

  it('equals Dice from sets on random labels, and is 1 for a perfect prediction', () => {
    const labels = fc.array(fc.tuple(fc.nat(7), fc.nat(7)), { minLength: 1, maxLength: 64 });
    fc.assert(
      fc.property(labels, (pairs) => {
        const truth = pairs.map(([t]) => t);
        const prediction = pairs.map(([, p]) => p);
        for (const { id, pooled } of score([{ name: 'a', truth, prediction }]).classes) {
          const both = pairs.filter(([t, p]) => t === id && p === id).length;
          const sum = truth.filter((t) => t === id).length + prediction.filter((p) => p === id).length;
          if (sum === 0) expect(pooled.dice).toBeNaN();
          else expect(pooled.dice).toBeCloseTo((2 * both) / sum, 12);
        }
        const perfect = score([{ name: 'a', truth, prediction: truth }]);
        for (const { pooled } of perfect.classes) if (pooled.n > 0) expect(pooled.dice).toBe(1);
      }),
    );
  });

  it('refuses what would give wrong scores in silence', () => {
    const [a, , , b] = example;
    expect(() => score([a!, b!, a!])).toThrow('one after another');
    expect(() => score([{ name: 'a', truth: [0], prediction: [0, 1] }])).toThrow('as many predicted pixels');
    expect(() => score([{ name: 'a', truth: [8], prediction: [0] }])).toThrow('labels 0 to 7');
  });
});
