import { createHash } from 'node:crypto';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { affineFromColumns, sliceExtents, type Vector3 } from '../affine.js';
import { sha256, toHex } from '../sha256.js';
import type { Volume } from '../volume.js';
import { decimalString } from './encode.js';
import { parseDicom } from './parse.js';
import { readDicomSeries, type DicomVolume } from './read.js';
import { TAG } from './tags.js';
import { uidFromSeed } from './uid.js';
import { writeDicomSeries } from './write.js';

function scan(tilt: number, spacing: Vector3, shape: Vector3, seed = 1): Volume<Int16Array> {
  const [columns, rows, slices] = shape;
  const [x, y, z] = spacing;
  return {
    data: Int16Array.from({ length: columns * rows * slices }, (_, index) => ((index * 7919 * seed) % 5000) - 1500),
    columns,
    rows,
    slices,
    affine: affineFromColumns(
      [-x, 0, 0],
      [0, -y * Math.cos(tilt), -y * Math.sin(tilt)],
      [0, 0, z],
      [121.123456789, 99.5, -70 - seed / 3],
    ),
  };
}

async function roundTrip(volume: Volume<Int16Array>): Promise<DicomVolume> {
  const files = writeDicomSeries(volume, { seed: 'case' }).map((bytes, k) => ({ name: `${k}`, bytes }));
  return readDicomSeries(files.toReversed());
}

describe('writeDicomSeries', () => {
  it("is read back with the same voxels and, to DICOM's 16 characters, the same geometry", async () => {
    const spacing = fc.double({ min: 0.2, max: 2, noNaN: true });
    const size = fc.integer({ min: 1, max: 6 });
    const tilts = fc.double({ min: -0.5, max: 0.5, noNaN: true });
    const step = fc.double({ min: 0.5, max: 8, noNaN: true });
    await fc.assert(
      fc.asyncProperty(
        tilts,
        spacing,
        spacing,
        step,
        size,
        size,
        fc.integer({ min: 2, max: 6 }),
        size,
        async (tilt, x, y, z, c, r, s, seed) => {
          const volume = scan(tilt, [x, y, z], [c, r, s], seed);
          const read = await roundTrip(volume);
          expect(read.volume.data).toEqual(volume.data);
          expect(read.volume.positions).toBeUndefined();
          read.volume.affine.flat().forEach((value, index) => {
            expect(Math.abs(value - volume.affine.flat()[index]!)).toBeLessThan(1e-9);
          });
          expect(read.series.tiltDegrees).toBeCloseTo((Math.abs(tilt) * 180) / Math.PI, 6);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('keeps uneven positions and their extents', async () => {
    const offsets = [0, 4, 8, 9, 16];
    const positions = offsets.map((z): Vector3 => [-121.5, -99.5, z]);
    const even = scan(0, [0.5, 0.5, 4], [3, 2, 5]);
    const affine = affineFromColumns([-0.5, 0, 0], [0, -0.5, 0], [0, 0, 4], [121.5, 99.5, 0]);
    const volume = { ...even, affine, positions, extents: sliceExtents(offsets) };
    expect((await roundTrip(volume)).volume).toEqual(volume);
  });

  it('holds HU up to the ends of int16', async () => {
    const volume = { ...scan(0, [1, 1, 5], [2, 1, 2]), data: Int16Array.of(-32768, 32767, 0, -1) };
    expect((await roundTrip(volume)).volume.data).toEqual(volume.data);
  });

  it('writes every type 1 and type 2 attribute of the CT Image IOD', () => {
    const [file] = writeDicomSeries(scan(0.3, [0.5, 0.5, 5], [4, 3, 2]), { seed: 'case', patient: '7' });
    const { dataset } = parseDicom(file!);
    const required = [
      ...[0x00080008, 0x00080016, 0x00080018, 0x00080020, 0x00080030, 0x00080050, 0x00080060, 0x00080070, 0x00080090],
      ...[0x00100010, 0x00100020, 0x00100030, 0x00100040, 0x00180050, 0x00180060, 0x00185100],
      ...[0x0020000d, 0x0020000e, 0x00200010, 0x00200011, 0x00200012, 0x00200013, 0x00200032, 0x00200037],
      ...[0x00200052, 0x00201040, 0x00280002, 0x00280004, 0x00280010, 0x00280011, 0x00280030, 0x00280100],
      ...[0x00280101, 0x00280102, 0x00280103, 0x00281052, 0x00281053],
    ];
    expect(required.filter((tag) => !dataset.elements.has(tag))).toEqual([]);
    expect(dataset.text(0x00100010)).toBe('PHANTOM^7');
    expect(dataset.text(TAG.seriesDescription)).toContain('Synthetic');
    expect([...dataset.elements.keys()].every((tag, index, all) => index === 0 || all[index - 1]! < tag)).toBe(true);
  });

  it('derives the same UIDs from the same seed and others from another', () => {
    const volume = scan(0, [1, 1, 5], [2, 2, 3]);
    const uids = (seed: string): string[] =>
      writeDicomSeries(volume, { seed }).map((file) => parseDicom(file).dataset.text(TAG.sopInstanceUid)!);
    expect(uids('a')).toEqual(uids('a'));
    expect(new Set([...uids('a'), ...uids('b')]).size).toBe(6);
    for (const uid of uids('a')) expect(uid).toMatch(/^2\.25\.[1-9]\d{0,38}$/);
  });

  it('refuses a shear within the slices, too long texts and sizes that do not fit', () => {
    const volume = scan(0, [1, 1, 5], [2, 2, 2]);
    const sheared = affineFromColumns([-1, 0, 0], [-0.5, -1, 0], [0, 0, 5], [0, 0, 0]);
    expect(() => writeDicomSeries({ ...volume, affine: sheared }, { seed: 'a' })).toThrow('right angles');
    expect(() => writeDicomSeries({ ...volume, rows: 3 }, { seed: 'a' })).toThrow('2 x 3 x 2');
    expect(() => writeDicomSeries(volume, { seed: 'a', date: 'x'.repeat(65) })).toThrow('YYYYMMDD');
  });
});

describe('what the writer builds on', () => {
  it("SHA-256 agrees with Node's for every length around its blocks", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(toHex(sha256(bytes))).toBe(createHash('sha256').update(bytes).digest('hex'));
      }),
    );
    expect(uidFromSeed('aaunet')).toBe(uidFromSeed('aaunet'));
  });

  it('decimal strings fit DICOM and lose less than 1e-8 of the value', () => {
    fc.assert(
      fc.property(fc.double({ min: -1e6, max: 1e6, noNaN: true }), (value) => {
        const text = decimalString(value);
        expect(text.length).toBeLessThanOrEqual(16);
        expect(text).toMatch(/^-?\d+(\.\d+)?(e[+-]?\d+)?$/);
        expect(Math.abs(Number(text) - value)).toBeLessThanOrEqual(Math.abs(value) * 1e-8);
      }),
    );
  });

  it('decimal strings are exponential where that keeps more digits', () => {
    expect(decimalString(-0.0000012840521128405212)).toBe('-1.2840521128e-6');
    expect(decimalString(0.1 + 0.2)).toBe('0.3');
    expect(decimalString(-123456.123456789)).toBe('-123456.12345679');
  });
});
