import type { Affine, Volume } from '@aaunet/imaging';
import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import { displayGeometry, maskSlice } from './display-slice.js';
import { chooseSlices, renderMontage } from './montage.js';
import { makeReport } from './report.js';

const canonical: Affine = [
  [-1, 0, 0, 0],
  [0, -1, 0, 0],
  [0, 0, 5, 0],
  [0, 0, 0, 1],
];
/** The same directions as most NIfTI files: columns to the left, rows to the front, slices downwards. */
const flipped: Affine = [
  [1, 0, 0, 0],
  [0, 1, 0, 0],
  [0, 0, -5, 0],
  [0, 0, 0, 1],
];

function scanOf(affine: Affine, side = 32, slices = 3): Volume<Int16Array> {
  return { data: new Int16Array(side * side * slices).fill(20), rows: side, columns: side, slices, affine };
}

function labelsOf(scan: Volume, mark: (label: Uint8Array) => void): Volume<Uint8Array> {
  const data = new Uint8Array(scan.data.length);
  mark(data);
  return { ...scan, data };
}

const context = {
  name: 'case',
  source: 'nifti',
  model: { name: 'rsu-sc', labels: ['ICH', 'SDH'], syntheticWeights: true },
  problems: [],
  software: 'aaunet 0.1.0',
} as const;

/** Places of pixels of one colour in a montage. */
function findColor(png: Uint8Array, color: readonly number[], below = Infinity): [number, number][] {
  const { width, height, data, channels } = decode(png);
  const found: [number, number][] = [];
  for (let y = 0; y < Math.min(height, below); y++) {
    for (let x = 0; x < width; x++) {
      if (color.every((value, c) => data[(y * width + x) * channels + c] === value)) found.push([x, y]);
    }
  }
  return found;
}

describe('displayGeometry', () => {
  it("puts anterior up and the patient's right on the left, whatever the order of voxels", () => {
    // The first quarter across and down: right and anterior.
    const places = [canonical, flipped].map((affine) => displayGeometry(scanOf(affine)).place(0.25, 0.25));
    expect(places).toEqual([
      [7.5, 7.5],
      [23.5, 23.5],
    ]);
    const transposed: Affine = [
      [0, -1, 0, 0],
      [-1, 0, 0, 0],
      [0, 0, 5, 0],
      [0, 0, 0, 1],
    ];
    // Columns run to posterior here, rows to the left.
    expect(displayGeometry(scanOf(transposed)).place(0.25, 0.75)).toEqual([23.5, 7.5]);
  });

  it('orders slices from inferior to superior', () => {
    expect(displayGeometry(scanOf(canonical)).order).toEqual([0, 1, 2]);
    expect(displayGeometry(scanOf(flipped)).order).toEqual([2, 1, 0]);
  });
});

describe('maskSlice', () => {
  it('loses no single voxel when the picture is smaller than the slice', () => {
    const scan = scanOf(canonical, 64, 1);
    for (const index of [0, 63, 64 * 64 - 1, 64 * 31 + 17]) {
      const volume = labelsOf(scan, (label) => (label[index] = 6));
      const mask = maskSlice({ volume, slice: 0, geometry: displayGeometry(scan), width: 20, height: 20 }, 6);
      expect(mask.includes(1)).toBe(true);
    }
  });
});

describe('chooseSlices', () => {
  it('shows all slices of a usual scan, and of a long one those with most marked voxels', () => {
    expect(chooseSlices([2, 1, 0], [])).toEqual([2, 1, 0]);
    const order = Array.from({ length: 300 }, (_, k) => k);
    const marked = order.map((k) => (k === 101 ? 5 : 0));
    const chosen = chooseSlices(order, marked);
    expect(chosen).toHaveLength(48);
    expect(chosen).toContain(101);
    expect([...chosen].sort((a, b) => a - b)).toEqual(chosen);
  });
});

describe('renderMontage', () => {
  it.each([
    ['canonical', canonical],
    ['flipped', flipped],
  ] as const)('draws a contour, not a filled area, on the right side of a %s volume', (_, affine) => {
    const scan = scanOf(affine, 32, 1);
    const geometry = displayGeometry(scan);
    const labelMap = labelsOf(scan, (label) => {
      // A block of 6x6 voxels in the patient's right anterior quarter.
      for (let v = 6; v < 12; v++) {
        for (let u = 6; u < 12; u++) {
          const [i, j] = geometry.place((u + 0.5) / 32, (v + 0.5) / 32);
          label[Math.round(j) * 32 + Math.round(i)] = 1;
        }
      }
    });
    const png = renderMontage(scan, labelMap, makeReport(scan, labelMap, context));
    // One tile of 400 pixels under the title; the legend's swatch lies below it.
    const contour = findColor(png, [230, 60, 60], 460);
    const xs = contour.map(([x]) => x - 16);
    const [low, high] = [Math.min(...xs), Math.max(...xs)];
    expect(low).toBeGreaterThan(65);
    expect(high).toBeLessThan(160);
    expect(high - low).toBeGreaterThan(70);
    expect(contour.length).toBeGreaterThan(300);
    expect(contour.length).toBeLessThan(1000);
  });

  it('is a picture for the smallest and for odd sizes', () => {
    for (const [side, slices] of [
      [1, 1],
      [17, 5],
    ] as const) {
      const scan = scanOf(canonical, side, slices);
      const labelMap = labelsOf(scan, () => undefined);
      expect(decode(renderMontage(scan, labelMap, makeReport(scan, labelMap, context))).width).toBeGreaterThan(500);
    }
  });
});
