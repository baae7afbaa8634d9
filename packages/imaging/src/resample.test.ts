import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { resampleLabelSlice, resampleSlice, type PlaneScale } from './resample.js';

interface PlaneSize {
  readonly rows: number;
  readonly columns: number;
}

function whole(from: PlaneSize, to: PlaneSize): PlaneScale {
  const axis = (source: number, out: number) => ({
    from: source,
    to: out,
    source: { first: 0, count: source },
    out: { first: 0, count: out },
  });
  return { down: axis(from.rows, to.rows), across: axis(from.columns, to.columns) };
}

describe('resampling', () => {
  it('averages areas when shrinking, by fractions too', () => {
    const two = { rows: 2, columns: 2 };
    expect(Array.from(resampleSlice(Int16Array.of(0, 2, 4, 6), whole(two, { rows: 1, columns: 1 })))).toEqual([3]);
    const half = whole({ rows: 1, columns: 3 }, { rows: 1, columns: 2 });
    expect(Array.from(resampleSlice(Int16Array.of(0, 30, 90), half))).toEqual([10, 70]);
  });

  it('interpolates between pixel centres when growing', () => {
    const grown = resampleSlice(Int16Array.of(0, 100), whole({ rows: 1, columns: 2 }, { rows: 1, columns: 4 }));
    expect(Array.from(grown)).toEqual([0, 25, 75, 100]);
  });

  it('takes air and background where the slice ends within the axis, and cuts what is not wanted', () => {
    const across = { from: 6, to: 3, source: { first: 1, count: 4 }, out: { first: 0, count: 3 } };
    const down = { from: 1, to: 1, source: { first: 0, count: 1 }, out: { first: 0, count: 1 } };
    const found = resampleSlice(Int16Array.of(0, 10, 20, 30), { down, across });
    expect(Array.from(found)).toEqual([-512, 15, Math.round((30 - 1024) / 2)]);
    expect(Array.from(resampleLabelSlice(Uint8Array.of(3, 3, 4, 0), { down, across }))).toEqual([3, 3, 0]);
    const middle = { ...across, source: { first: 0, count: 6 }, out: { first: 1, count: 1 } };
    expect(Array.from(resampleSlice(Int16Array.of(1, 2, 3, 5, 6, 7), { down, across: middle }))).toEqual([4]);
  });

  it('keeps a constant image constant and every value within the range of the source', () => {
    const size = fc.record({ rows: fc.integer({ min: 1, max: 17 }), columns: fc.integer({ min: 1, max: 17 }) });
    fc.assert(
      fc.property(size, size, fc.integer({ min: -1024, max: 3000 }), fc.integer(), (from, to, value, seed) => {
        const flat = new Int16Array(from.rows * from.columns).fill(value);
        expect(resampleSlice(flat, whole(from, to)).every((found) => found === value)).toBe(true);
        const labels = Uint8Array.from(flat, (_, index) => Math.abs((seed >> (index % 24)) & 7));
        const resized = resampleLabelSlice(labels, whole(from, to));
        expect(resized.every((label) => labels.includes(label))).toBe(true);
      }),
    );
  });

  it('takes the majority of labels, a lesion before background where equal', () => {
    const shrunk = whole({ rows: 2, columns: 2 }, { rows: 1, columns: 1 });
    expect(resampleLabelSlice(Uint8Array.of(0, 0, 3, 3), shrunk)[0]).toBe(3);
    expect(resampleLabelSlice(Uint8Array.of(0, 0, 0, 3), shrunk)[0]).toBe(0);
    expect(resampleLabelSlice(Uint8Array.of(5, 2, 5, 2), shrunk)[0]).toBe(2);
  });
});
