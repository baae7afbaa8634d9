import { describe, expect, it } from 'vitest';

import { fill, fnv1a, uniform } from './fixture.js';

// The literals are what the NumPy code that writes the fixtures computes.
describe('the formula of the fixtures', () => {
  it('seeds by the FNV-1a of the UTF-8 bytes', () => {
    expect(fnv1a('')).toBe(2166136261);
    expect(fnv1a('a')).toBe(3826002220);
    expect(fnv1a('encoder.layer1.0.bn1.running_mean')).toBe(3106133735);
    expect(fnv1a('größe')).toBe(3443061914);
  });

  it('draws the mulberry32 stream, seeds beyond 31 bits included', () => {
    expect([...uniform(0, 3)]).toEqual([0.26642920868471265, 0.0003297457005828619, 0.2232720274478197]);
    expect([...uniform(0xffffffff, 3)]).toEqual([0.8964226141106337, 0.189478256739676, 0.7156526781618595]);
    expect(uniform(7, 100_001).at(-1)).toBe(0.6876654594670981);
  });

  it('fills each kind of entry in its own range', () => {
    const expectFill = (name: string, shape: number[], expected: number[]): void => {
      const values = fill(name, shape);
      expect(values).toHaveLength(expected.length);
      for (const [i, value] of expected.entries()) expect(values[i]).toBeCloseTo(value, 15);
    };
    expectFill(
      'head.weight',
      [2, 2, 1, 1],
      [-0.2969913651756971, 0.4363500484460528, -1.4952727369117715, 1.6154485093709634],
    );
    expectFill('bn.weight', [2], [0.9752929490059614, 0.9170275557320565]);
    expectFill('bn.bias', [2], [-0.014452764578163625, -0.005436888569965959]);
    expectFill('bn.running_mean', [2], [0.037544088531285526, -0.06493765157647431]);
    expectFill('bn.running_var', [2], [1.2016472808318213, 1.3683734266087413]);
    expectFill('bn.num_batches_tracked', [], [0]);
  });
});
