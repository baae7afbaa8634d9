import { type Affine, type Volume, labelByName } from '@aaunet/imaging';
import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import { textWidth } from './bitmap-font.js';
import { displayGeometry, maskSlice, withoutAir } from './display-slice.js';
import { chooseSlices, legendEntries, renderMontage, renderPair } from './montage.js';
import { makeReport } from './report.js';
import { TEXT_SCALE, wrap } from './sheet-text.js';

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

describe('withoutAir', () => {
  it.each([
    ['canonical', canonical],
    ['flipped', flipped],
  ] as const)('cuts a %s scan to what any slice shows, labels in the air included', (_, affine) => {
    const scan = scanOf(affine);
    scan.data.fill(-1000);
    const geometry = displayGeometry(scan);
    // A head from 8 to 15 columns and 4 to 27 rows of the picture, on one slice alone.
    for (let y = 4; y < 28; y++)
      for (let x = 8; x < 16; x++) {
        const [i, j] = geometry.place((x + 0.5) / 32, (y + 0.5) / 32);
        scan.data[32 * 32 + Math.round(j) * 32 + Math.round(i)] = 40;
      }
    const cut = withoutAir(geometry, scan);
    expect([cut.widthMm, cut.heightMm]).toEqual([expect.closeTo(8 + 1.28, 6), expect.closeTo(24 + 1.28, 6)]);
    expect(cut.place(0.5, 0.5)).toEqual(geometry.place(12 / 32, 16 / 32));
    const corner = geometry.place(31.5 / 32, 31.5 / 32);
    const marked = labelsOf(scan, (label) => (label[Math.round(corner[1]) * 32 + Math.round(corner[0])] = 6));
    expect(withoutAir(geometry, scan, marked).place(1, 1)).toEqual(geometry.place(1, 1));
  });

  it('shows all of a scan that is nothing but air', () => {
    const scan = scanOf(canonical);
    scan.data.fill(-1000);
    expect(withoutAir(displayGeometry(scan), scan).widthMm).toBe(32);
  });
});

describe('renderPair', () => {
  it('shows a slice without and with its outlines, named beside the colour', () => {
    const scan = scanOf(canonical, 32, 2);
    const labelMap = labelsOf(scan, (label) => label.fill(2, 1024 + 32 * 10, 1024 + 32 * 20));
    const places = findColor(renderPair(scan, labelMap, 1), labelByName('SDH').color);
    expect(places.length).toBeGreaterThan(500);
    expect(Math.min(...places.map(([x]) => x))).toBeGreaterThan(480);
    // The name is in the corner, above the outline.
    expect(Math.min(...places.map(([, y]) => y))).toBeLessThan(30);
    expect(findColor(renderPair(scan, labelMap, 0), labelByName('SDH').color)).toEqual([]);
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

describe('the text of a sheet', () => {
  it('is wrapped at spaces, and within a name that is longer than a line', () => {
    const text = `a study ${'x'.repeat(100)} of today`;
    const lines = wrap(text, 300);
    expect(lines.every((line) => textWidth(line, TEXT_SCALE) <= 300)).toBe(true);
    expect(lines.join('').replaceAll(' ', '')).toBe(text.replaceAll(' ', ''));
    const scan = scanOf(canonical, 32, 1);
    const heights = ['short', 'x'.repeat(100)].map(
      (name) =>
        decode(
          renderMontage(
            scan,
            labelsOf(scan, () => undefined),
            makeReport(
              scan,
              labelsOf(scan, () => undefined),
              { ...context, name },
            ),
          ),
        ).height,
    );
    expect(heights[1]).toBeGreaterThan(heights[0]!);
  });

  it('names the very slices of a type, not those between', () => {
    const scan = scanOf(canonical, 32, 6);
    const labelMap = labelsOf(scan, (label) => {
      for (const slice of [0, 1, 4]) label[slice * 1024] = 1;
      label[5 * 1024] = 2;
    });
    const [ich, sdh, sah] = legendEntries(makeReport(scan, labelMap, context));
    expect(ich!.lines.join(' ')).toContain('slices 1-2, 5');
    expect(sdh!.lines.join(' ')).toContain('slice 6');
    expect(sah!.lines).toEqual(['SAH  not assessed', 'subarachnoid haemorrhage']);
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
    // One tile of 400 pixels under title and notices; the legend's swatch lies below it, the type's name in its right corner.
    const contour = findColor(png, labelByName('ICH').color, 520).filter(([x]) => x < 300);
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
