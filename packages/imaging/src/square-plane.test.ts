import { describe, expect, it } from 'vitest';

import { affineFromColumns, voxelToPatient, voxelVolumeMl } from './affine.js';
import { sha256, toHex } from './sha256.js';
import { SquarePlane } from './square-plane.js';
import type { Volume } from './volume.js';

/** Labels 0 to 7 in a pattern of single pixels, which any resampling would destroy. */
function pattern(rows: number, columns: number, slices = 2, columnMm = 0.5): Volume<Uint8Array> {
  return {
    data: Uint8Array.from({ length: slices * rows * columns }, (_, index) => (index * 2654435761) >>> 29),
    rows,
    columns,
    slices,
    affine: affineFromColumns([-columnMm, 0, 0], [0, -0.5, 0], [0, 1, 5], [100, 90, 80]),
  };
}

const asScan = (labels: Volume<Uint8Array>): Volume<Int16Array> => ({ ...labels, data: Int16Array.from(labels.data) });

describe('a square plane', () => {
  it('brings the label map of a 512 x 400 scan into 512 x 512 and back exactly', () => {
    const labels = pattern(512, 400);
    const plane = new SquarePlane(labels, 512, 'pad');
    const back = plane.sourceLabelMap(plane.labelMap(labels).data);
    expect({ ...back, data: toHex(sha256(back.data)) }).toEqual({ ...labels, data: toHex(sha256(labels.data)) });
    const wide = pattern(400, 512);
    const other = new SquarePlane(wide, 512, 'pad');
    expect(toHex(sha256(other.sourceLabelMap(other.labelMap(wide).data).data))).toBe(toHex(sha256(wide.data)));
  });

  it('puts air around a scan that is not square, as much on either side', () => {
    const scan = asScan(pattern(8, 4, 1));
    const { data } = new SquarePlane(scan, 8, 'pad').scan(scan);
    for (let row = 0; row < 8; row++) {
      expect([...data.subarray(row * 8, row * 8 + 2)]).toEqual([-1024, -1024]);
      expect(data.slice(row * 8 + 2, row * 8 + 6)).toEqual(scan.data.slice(row * 4, row * 4 + 4));
      expect([...data.subarray(row * 8 + 6, row * 8 + 8)]).toEqual([-1024, -1024]);
    }
  });

  it('keeps the shape of heads: a disc stays a disc, also of pixels that are not square', () => {
    const extentOf = (columns: number, columnMm: number, fit: 'pad' | 'stretch'): readonly [number, number] => {
      const blank = pattern(512, columns, 1, columnMm);
      const scan = { ...asScan(blank), data: new Int16Array(512 * columns).fill(-1000) };
      for (let j = 0; j < 512; j++)
        for (let i = 0; i < columns; i++) {
          const [x, y] = [(i - columns / 2) * columnMm, (j - 256) * 0.5];
          if (Math.hypot(x, y) < 90) scan.data[j * columns + i] = 40;
        }
      const { data } = new SquarePlane(scan, 256, fit).scan(scan);
      const inside = Array.from(data, (hu) => hu > -480);
      const rows = Array.from({ length: 256 }, (_, row) => inside.slice(row * 256, (row + 1) * 256).includes(true));
      const columnsOf = Array.from({ length: 256 }, (_, column) => inside.some((is, at) => is && at % 256 === column));
      return [rows.filter(Boolean).length, columnsOf.filter(Boolean).length];
    };
    for (const [high, wide] of [extentOf(400, 0.5, 'pad'), extentOf(200, 1, 'pad'), extentOf(60, 5, 'pad')])
      expect(Math.abs(high - wide)).toBeLessThanOrEqual(5);
    const [high, wide] = extentOf(400, 0.5, 'stretch');
    expect(wide / high).toBeCloseTo(512 / 400, 1);
  });

  it('stretches as networks of earlier versions were trained', () => {
    const scan = asScan(pattern(1, 2, 1));
    const stretched = new SquarePlane({ ...scan }, 2, 'stretch').scan({ ...scan, data: Int16Array.of(5, 9) });
    expect([...stretched.data]).toEqual([5, 9, 5, 9]);
  });

  it('shares the voxels of a scan that fits, and refuses another scan than the one it was made for', () => {
    const scan = asScan(pattern(8, 8));
    const plane = new SquarePlane(scan, 8, 'pad');
    expect(plane.scan(scan).data).toBe(scan.data);
    expect(() => plane.scan(asScan(pattern(8, 7)))).toThrow('Expected 2 x 8 x 8 voxels, found 2 x 8 x 7');
    expect(() => plane.sourceLabelMap(new Uint8Array(64))).toThrow('Expected a label map of 2 x 8 x 8 voxels');
    expect(() => new SquarePlane({ ...scan, columns: 0 }, 8, 'pad')).toThrow('pixels of some size');
  });

  it('allocates no more than the network sees, however unequal the sides of a pixel claim to be', () => {
    const scan = asScan(pattern(8, 8, 1, 1e9));
    expect(new SquarePlane(scan, 8, 'pad').scan(scan).data).toHaveLength(64);
  });

  it('moves nothing in the patient: borders stay, total volume stays, slices stay where they are', () => {
    const positions = [
      [-100, -90, 80],
      [-100, -91, 85],
    ] as const;
    const scan = { ...pattern(4, 6), positions };
    const { affine, positions: moved } = new SquarePlane(scan, 3, 'stretch').geometry;
    expect(voxelToPatient(affine, -0.5, -0.5, 0)).toEqual(voxelToPatient(scan.affine, -0.5, -0.5, 0));
    expect(voxelToPatient(affine, 2.5, 2.5, 1)).toEqual(voxelToPatient(scan.affine, 5.5, 3.5, 1));
    expect(voxelVolumeMl(affine)).toBeCloseTo((24 / 9) * voxelVolumeMl(scan.affine), 12);
    expect(moved![1]![0]).toBeCloseTo(-100 + 0.25, 12);
    const padded = new SquarePlane(scan, 3, 'pad').geometry;
    expect(voxelToPatient(padded.affine, 2.5, 2, 1)).toEqual(voxelToPatient(scan.affine, 5.5, 3.5, 1));
    expect(voxelToPatient(padded.affine, -0.5, -0.5, 0)).toEqual(voxelToPatient(scan.affine, -0.5, -1.5, 0));
  });
});
