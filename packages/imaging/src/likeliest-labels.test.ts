import { describe, expect, it } from 'vitest';

import { classProbabilities, likeliestLabels } from './likeliest-labels.js';

describe('likeliestLabels', () => {
  it('takes the largest logit, and adds what unmarked types have to background', () => {
    const logits = Float32Array.of(0, 1, 0.5, 0, 0.4, 1.2);
    const shape = { count: 1, classes: 3, pixels: 2 };
    expect([...likeliestLabels(logits, shape)]).toEqual([1, 2]);
    expect([...likeliestLabels(logits, { ...shape, unmarked: [2] })]).toEqual([0, 0]);
    expect([...likeliestLabels(logits, { count: 2, classes: 3, pixels: 1 })]).toEqual([1, 2]);
    expect(() => likeliestLabels(logits, { ...shape, pixels: 3 })).toThrow('found 6');
  });
});

describe('logits that are no numbers', () => {
  it.each([NaN, Infinity, -Infinity])('are refused, as no answer may be read as "none found": %s', (bad) => {
    const shape = { count: 1, classes: 2, pixels: 2 };
    const logits = Float32Array.of(0, 1, 2, bad);
    for (const read of [likeliestLabels, classProbabilities])
      expect(() => read(logits, shape)).toThrow(`Expected finite logits, found ${bad}`);
  });
});

describe('classProbabilities', () => {
  const shape = { count: 2, classes: 3, pixels: 4 };
  const logits = Float32Array.from({ length: 24 }, (_, i) => Math.sin(i * 1.7) * 3);

  it('is the softmax over the classes of every pixel, whatever the size of the logits', () => {
    const found = classProbabilities(logits, shape);
    const at = (n: number, id: number, pixel: number): number => (n * 3 + id) * 4 + pixel;
    for (let n = 0; n < 2; n++)
      for (let pixel = 0; pixel < 4; pixel++) {
        const weights = [0, 1, 2].map((id) => Math.exp(logits[at(n, id, pixel)]!));
        const sum = weights.reduce((a, b) => a + b, 0);
        for (let id = 0; id < 3; id++) expect(found[at(n, id, pixel)]).toBeCloseTo(weights[id]! / sum, 6);
      }
    const huge = classProbabilities(Float32Array.of(1000, -1000), { count: 1, classes: 2, pixels: 1 });
    expect([...huge]).toEqual([1, 0]);
  });

  it('gives what unmarked types have to background, so that the likeliest class is that of likeliestLabels', () => {
    const unmarked = [2];
    const found = classProbabilities(logits, { ...shape, unmarked });
    const plain = classProbabilities(logits, shape);
    expect(found[0]).toBeCloseTo(plain[0]! + plain[8]!, 6);
    expect(found[8]).toBe(0);
    expect([...likeliestLabels(found, shape)]).toEqual([...likeliestLabels(logits, { ...shape, unmarked })]);
  });
});
