import { describe, expect, it } from 'vitest';

import { affineFromColumns } from './affine.js';
import { toHuVolume, toLabelVolume } from './convert.js';
import { CLASS_COUNT, LABELS, labelById, labelByName } from './labels.js';
import { sliceOf, stackThree } from './slices.js';
import type { Volume } from './volume.js';
import { NETWORK_WINDOW, windowToGray, windowToInput } from './window.js';

function volume(rows: number, columns: number, slices: number): Volume<Int16Array> {
  return {
    data: Int16Array.from({ length: rows * columns * slices }, (_, index) => index),
    rows,
    columns,
    slices,
    affine: affineFromColumns([-0.5, 0, 0], [0, -0.5, 0], [0, 1, 5], [100, 90, 80]),
  };
}

describe('labels', () => {
  it("number the paper's seven types 1 to 7 in its order", () => {
    expect(LABELS.map(({ id, name }) => `${id} ${name}`)).toEqual([
      '1 ICH',
      '2 SDH',
      '3 SAH',
      '4 EDH',
      '5 CSDH',
      '6 Pneumocranium',
      '7 IVH',
    ]);
    expect(CLASS_COUNT).toBe(8);
    expect(labelById(6)).toBe(labelByName('pneumocranium'));
    expect(() => labelById(0)).toThrow('1 to 7');
    expect(() => labelByName('tumour')).toThrow('ICH, SDH');
  });
});

describe('windows', () => {
  it('map the network window -50..150 HU to 0..1 and clamp', () => {
    const input = windowToInput(Int16Array.of(-3000, -50, 0, 50, 150, 3000), NETWORK_WINDOW);
    expect(Array.from(input)).toEqual([0, 0, 0.25, 0.5, 1, 1]);
    expect(windowToInput(Float32Array.of(NaN))[0]).toBe(0);
  });

  it('map to gray and refuse a width of 0', () => {
    expect(Array.from(windowToGray(Int16Array.of(-100, 0, 40, 80, 100), { center: 40, width: 80 }))).toEqual([
      0, 0, 128, 255, 255,
    ]);
    expect(() => windowToGray(Int16Array.of(0), { center: 0, width: 0 })).toThrow('width above 0');
  });
});

describe('three-slice stacks', () => {
  it('hold the neighbours, clamped at both ends', () => {
    const scan = volume(1, 2, 3);
    expect(Array.from(stackThree(scan, 1))).toEqual([0, 1, 2, 3, 4, 5]);
    expect(Array.from(stackThree(scan, 0))).toEqual([0, 1, 0, 1, 2, 3]);
    expect(Array.from(stackThree(scan, 2))).toEqual([2, 3, 4, 5, 4, 5]);
    expect(() => sliceOf(scan, 3)).toThrow('0 to 2');
    expect(() => stackThree(scan, 0, new Int16Array(4))).toThrow('room for 6');
  });
});

describe('conversion', () => {
  it('rounds and clamps to HU and refuses what is no label', () => {
    const affine = volume(1, 1, 1).affine;
    const floats = { data: Float32Array.of(1.25, -1.6, 2.5, 1e6, NaN), rows: 1, columns: 5, slices: 1, affine };
    expect(Array.from(toHuVolume(floats).data)).toEqual([1, -2, 2, 32767, -1024]);
    expect(() => toLabelVolume(floats)).toThrow('found the value 1.25');
    expect(() => toLabelVolume({ ...floats, data: Uint8Array.of(0, 7, 8, 0, 0) })).toThrow('from 0 to 7');
    expect(toLabelVolume({ ...floats, data: Int16Array.of(0, 7, 1, 0, 0) }).data).toEqual(Uint8Array.of(0, 7, 1, 0, 0));
  });
});
