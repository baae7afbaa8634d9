import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { affineFromColumns, voxelToPatient, voxelVolumeMl } from './affine.js';
import { toHuVolume, toLabelVolume } from './convert.js';
import { CLASS_COUNT, LABELS, labelById, labelByName } from './labels.js';
import { resizeLabelSlice, resizeSlice, resizeVolume, resizeLabelMap, restoreLabelMap } from './resample.js';
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
    const floats = { data: Float32Array.of(1.25, -1.6, 1e6, NaN), rows: 1, columns: 4, slices: 1, affine };
    expect(Array.from(toHuVolume(floats).data)).toEqual([1, -2, 32767, -1024]);
    expect(() => toLabelVolume(floats)).toThrow('found the value 1.25');
    expect(() => toLabelVolume({ ...floats, data: Uint8Array.of(0, 7, 8, 0) })).toThrow('from 0 to 7');
    expect(toLabelVolume({ ...floats, data: Int16Array.of(0, 7, 1, 0) }).data).toEqual(Uint8Array.of(0, 7, 1, 0));
  });
});

describe('resizing', () => {
  it('averages areas when shrinking, by fractions too', () => {
    const two = { rows: 2, columns: 2 };
    expect(Array.from(resizeSlice(Int16Array.of(0, 2, 4, 6), two, { rows: 1, columns: 1 }))).toEqual([3]);
    const three = Int16Array.of(0, 30, 90);
    const half = resizeSlice(three, { rows: 1, columns: 3 }, { rows: 1, columns: 2 });
    expect(Array.from(half)).toEqual([10, 70]);
  });

  it('interpolates between pixel centres when growing', () => {
    const grown = resizeSlice(Int16Array.of(0, 100), { rows: 1, columns: 2 }, { rows: 1, columns: 4 });
    expect(Array.from(grown)).toEqual([0, 25, 75, 100]);
  });

  it('keeps a constant image constant and every value within the range of the source', () => {
    const size = fc.record({ rows: fc.integer({ min: 1, max: 17 }), columns: fc.integer({ min: 1, max: 17 }) });
    fc.assert(
      fc.property(size, size, fc.integer({ min: -1024, max: 3000 }), fc.integer(), (from, to, value, seed) => {
        const flat = new Int16Array(from.rows * from.columns).fill(value);
        expect(resizeSlice(flat, from, to).every((found) => found === value)).toBe(true);
        const labels = Uint8Array.from(flat, (_, index) => Math.abs((seed >> (index % 24)) & 7));
        const resized = resizeLabelSlice(labels, from, to);
        expect(resized.every((label) => labels.includes(label))).toBe(true);
      }),
    );
  });

  it('takes the majority of labels, a lesion before background where equal', () => {
    const from = { rows: 2, columns: 2 };
    const to = { rows: 1, columns: 1 };
    expect(resizeLabelSlice(Uint8Array.of(0, 0, 3, 3), from, to)[0]).toBe(3);
    expect(resizeLabelSlice(Uint8Array.of(0, 0, 0, 3), from, to)[0]).toBe(0);
    expect(resizeLabelSlice(Uint8Array.of(5, 2, 5, 2), from, to)[0]).toBe(2);
  });

  it('doubles and halves labels without loss, back in the source geometry exactly', () => {
    const scan = volume(4, 6, 2);
    const labels = { ...scan, data: Uint8Array.from(scan.data, (value) => value % 8) };
    const grown = resizeLabelMap(labels, { rows: 8, columns: 12 });
    expect(restoreLabelMap(grown, scan)).toEqual(labels);
    expect(() => restoreLabelMap({ ...grown, slices: 1 }, scan)).toThrow('2 slices');
  });

  it('moves nothing in the patient: borders stay, total volume stays', () => {
    const scan = {
      ...volume(4, 6, 2),
      positions: [
        [-100, -90, 80],
        [-100, -91, 85],
      ] as const,
    };
    const small = resizeVolume(scan, { rows: 2, columns: 3 });
    expect(voxelToPatient(small.affine, -0.5, -0.5, 0)).toEqual(voxelToPatient(scan.affine, -0.5, -0.5, 0));
    expect(voxelToPatient(small.affine, 2.5, 1.5, 1)).toEqual(voxelToPatient(scan.affine, 5.5, 3.5, 1));
    expect(voxelVolumeMl(small.affine)).toBeCloseTo(4 * voxelVolumeMl(scan.affine), 12);
    expect(small.positions![1]).toEqual([-100 + 0.25, -91 + 0.25, 85]);
  });
});
