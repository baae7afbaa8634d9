import type { Affine, Volume } from '@aaunet/imaging';
import { describe, expect, it } from 'vitest';

import { measureLesions } from './lesion-measures.js';
import { makeReport } from './report.js';

const affine: Affine = [
  [-0.5, 0, 0, 0],
  [0, -1, 0, 0],
  [0, 0, 4, 0],
  [0, 0, 0, 1],
];

function mapOf(boxes: readonly (readonly [i: number, j: number, k: number, w: number, h: number, d: number])[]) {
  const [columns, rows, slices] = [40, 40, 6];
  const data = new Uint8Array(columns * rows * slices);
  for (const [i, j, k, w, h, d] of boxes)
    for (let z = k; z < k + d; z++)
      for (let y = j; y < j + h; y++) for (let x = i; x < i + w; x++) data[(z * rows + y) * columns + x] = 1;
  const labels: Volume<Uint8Array> = { data, columns, rows, slices, affine };
  return labels;
}

describe('measureLesions', () => {
  it('measures a box by hand: diagonal, height across it, extent', () => {
    // 12 x 0.5 = 6 mm wide, 8 x 1 = 8 mm high, three slices of 4 mm; and a smaller box elsewhere.
    const labels = mapOf([
      [2, 3, 1, 12, 8, 3],
      [30, 30, 5, 2, 2, 1],
    ]);
    const { lesions, largestLesion } = measureLesions(labels, labels, 1);
    expect(lesions).toBe(2);
    // A = 10; at right angles to the diagonal the box is 2 · 6 · 8 / 10 = 9.6 wide; C = 12.
    expect(largestLesion).toEqual({
      volumeMl: (6 * 8 * 12) / 1000,
      diameterMm: 10,
      diameterSlice: 2,
      abcOver2Ml: (10 * 9.6 * 12) / 2000,
    });
  });

  it('counts end slices by their share of the largest area, and uneven slices by their true extents', () => {
    const labels = mapOf([
      [2, 3, 1, 12, 8, 1],
      [2, 3, 2, 6, 8, 1],
      [2, 3, 3, 2, 8, 1],
    ]);
    const scan = { ...labels, extents: [4, 4, 6, 9, 4, 4] };
    // Whole, half (50 %), none (17 %): C = 4 + 6 / 2.
    expect(measureLesions(labels, scan, 1).largestLesion!.abcOver2Ml).toBeCloseTo((10 * 9.6 * 7) / 2000, 4);
    expect(measureLesions(labels, scan, 2)).toEqual({ lesions: 0, largestLesion: null });
  });
});

describe('a label map of noise', () => {
  it('is measured, though it has more lesions than a call has room for arguments', () => {
    const [slices, rows, columns] = [17, 256, 256];
    const data = new Uint8Array(slices * rows * columns);
    for (let z = 0; z < slices; z += 2)
      for (let y = 0; y < rows; y += 2) for (let x = 0; x < columns; x += 2) data[(z * rows + y) * columns + x] = 1;
    data[1] = 1;
    const labels: Volume<Uint8Array> = { data, slices, rows, columns, affine };
    const { lesions, largestLesion } = measureLesions(labels, labels, 1);
    // The voxel between the first two makes one lesion of three.
    expect(lesions).toBe(9 * 128 * 128 - 1);
    expect(largestLesion!.volumeMl).toBeCloseTo((3 * 0.5 * 1 * 4) / 1000, 9);
  });
});

describe('volumes of uneven slices', () => {
  it('agree with counting voxels to 1e-6', () => {
    const labels = mapOf([
      [1, 1, 0, 7, 9, 4],
      [20, 20, 2, 5, 3, 4],
    ]);
    const extents = [3.3337, 4.0001, 5.7177, 2.1111, 6.0606, 1.4142];
    const scan: Volume<Int16Array> = { ...labels, data: new Int16Array(labels.data.length), extents };
    const report = makeReport(scan, labels, {
      name: 'a',
      source: 'nifti',
      model: { name: 'm', labels: ['ICH'], syntheticWeights: false },
      problems: [],
      software: 's',
    });
    const counted = extents.reduce(
      (sum, extent, k) =>
        sum + labels.data.subarray(k * 1600, (k + 1) * 1600).filter((label) => label === 1).length * 0.5 * extent,
      0,
    );
    expect(Math.abs(report.types[0]!.volumeMl! - counted / 1000)).toBeLessThan(1e-6);
  });
});
