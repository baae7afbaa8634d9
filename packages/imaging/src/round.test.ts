import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { roundHalfToEven, toInt16 } from './round.js';

describe('rounding', () => {
  it('takes halves to the even number, as NumPy does, so that two readers of one file agree', () => {
    const halves = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 1023.5, 1024.5];
    expect(halves.map((half) => roundHalfToEven(half) + 0)).toEqual([-2, -2, 0, 0, 2, 2, 1024, 1024]);
    expect(roundHalfToEven(0.49999999999999994)).toBe(0);
    expect([NaN, Infinity, -Infinity, 2 ** 53 - 1].map(roundHalfToEven)).toEqual([
      NaN,
      Infinity,
      -Infinity,
      2 ** 53 - 1,
    ]);
  });

  it('gives the nearest whole number for everything else', () => {
    fc.assert(
      fc.property(fc.double({ min: -1e9, max: 1e9, noNaN: true }), (value) => {
        fc.pre(Math.abs(value % 1) !== 0.5);
        expect(roundHalfToEven(value) + 0).toBe(Math.round(value) + 0);
      }),
      { numRuns: 500 },
    );
  });

  it('ends where int16 does', () => {
    expect([32767.4, 32767.5, 1e9, -32768.5, -1e9].map(toInt16)).toEqual([32767, 32767, 32767, -32768, -32768]);
  });
});
