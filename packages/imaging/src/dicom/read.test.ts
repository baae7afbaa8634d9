import { describe, expect, it } from 'vitest';

import { tiltDegrees, voxelVolumesMl } from '../affine.js';
import { ImagingError } from '../imaging-error.js';
import type { DicomAttribute } from './encode.js';
import { ctFile, type FixtureOptions } from './fixture.js';
import { readDicomSeries } from './read.js';
import { TAG } from './tags.js';

interface Named {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const slice = (z: number, options: FixtureOptions = {}, name = `z${z}`): Named => ({ name, bytes: ctFile(z, options) });
const ds = (tag: number, ...value: number[]): DicomAttribute => ({ tag, vr: 'DS', value });
const series = (uid: string): DicomAttribute => ({ tag: TAG.seriesInstanceUid, vr: 'UI', value: uid });
const codes = (files: Named[]): string[] => readDicomSeries(files).series.problems.map(({ code }) => code);

describe('readDicomSeries', () => {
  it('sorts slices from inferior to superior, whatever the order of the files', () => {
    const { volume, series: read, skipped } = readDicomSeries([20, 0, 10, 5, 15].map((z) => slice(z)));
    expect([volume.slices, volume.rows, volume.columns]).toEqual([5, 2, 3]);
    expect(Array.from({ length: 5 }, (_, k) => volume.data[k * 6 + 5]! + 500)).toEqual([0, 5, 10, 15, 20]);
    expect(volume.affine).toEqual([
      [-0.4, 0, 0, 100],
      [0, -0.5, 0, 110],
      [0, 0, 5, 0],
      [0, 0, 0, 1],
    ]);
    expect(volume.positions).toBeUndefined();
    expect(read.stepMm).toEqual({ min: 5, median: 5, max: 5 });
    expect(read.slices.map(({ sopInstanceUid }) => sopInstanceUid)).toEqual(
      [0, 500, 1000, 1500, 2000].map((n) => `1.2.3.${n}`),
    );
    expect([read.problems, skipped]).toEqual([[], []]);
  });

  it("sorts upwards where the slices' own normal points down", () => {
    const change = [ds(TAG.imageOrientation, 1, 0, 0, 0, -1, 0)];
    const { volume, series: read } = readDicomSeries([0, 10, 5].map((z) => slice(z, { change })));
    expect(read.positions.map((position) => position[2])).toEqual([0, 5, 10]);
    expect(volume.affine[2][2]).toBe(5);
  });

  it('keeps a gantry tilt as shear and says so', () => {
    const [cosine, sine] = [Math.cos(0.3), Math.sin(0.3)];
    const change = [ds(TAG.imageOrientation, 1, 0, 0, 0, cosine, -sine)];
    const { volume, series: read } = readDicomSeries([0, 5, 10].map((z) => slice(z, { change })));
    expect(tiltDegrees(volume.affine)).toBeCloseTo((0.3 * 180) / Math.PI, 6);
    expect(read.tiltDegrees).toBeCloseTo((0.3 * 180) / Math.PI, 6);
    expect(volume.affine[2]).toEqual([0, expect.closeTo(-0.5 * sine, 12), 5, 0]);
    expect(read.problems.map(({ code }) => code)).toEqual(['gantry-tilt']);
  });

  it('gives uneven slices their positions and true extents, which the mL follow', () => {
    const { volume, series: read } = readDicomSeries([0, 4, 8, 9, 16].map((z) => slice(z)));
    expect(volume.extents).toEqual([4, 4, 2.5, 4, 7]);
    expect(volume.positions!.map((position) => position[2])).toEqual([0, 4, 8, 9, 16]);
    expect(volume.affine[2][2]).toBe(4);
    expect(voxelVolumesMl(volume)[4]).toBeCloseTo((0.5 * 0.4 * 7) / 1000, 12);
    expect(read.stepMm).toEqual({ min: 1, median: 4, max: 7 });
    expect(read.problems.map(({ code }) => code)).toEqual(['uneven-steps']);
  });

  it('reports slices that are missing', () => {
    expect(codes([0, 5, 10, 25, 30, 35].map((z) => slice(z)))).toEqual(['uneven-steps', 'missing-slices']);
  });

  it('drops copies, and of different slices in one place uses the first acquired', () => {
    const acquisition = (number: number): DicomAttribute => ({ tag: TAG.acquisitionNumber, vr: 'IS', value: number });
    expect(codes([slice(0), slice(5), slice(5, {}, 'copy')])).toEqual(['duplicate-slices']);
    const pixels = Uint16Array.of(1, 2, 3, 4, 5, 6);
    const again = slice(5, { pixels, change: [acquisition(2)] }, 'a-first-name');
    const { volume, series: read } = readDicomSeries([again, slice(0), slice(5, { change: [acquisition(1)] })]);
    expect(read.problems.map(({ code }) => code)).toEqual(['conflicting-slices']);
    expect([volume.slices, volume.data[11]]).toEqual([2, 5 + 500 - 1000]);
  });

  it('reports mixed thickness, missing rescaling, clamped values and shared UIDs', () => {
    expect(codes([slice(0), slice(5, { change: [ds(TAG.sliceThickness, 2.5)] })])).toEqual(['mixed-thickness']);
    expect(codes([slice(0), slice(5, { change: [TAG.rescaleSlope] })])).toEqual(['rescale-assumed']);
    expect(codes([slice(0), slice(5, { change: [ds(TAG.rescaleSlope, 50)] })])).toEqual(['clamped-values']);
    const uid: DicomAttribute = { tag: TAG.sopInstanceUid, vr: 'UI', value: '1.2.3.0' };
    expect(codes([slice(0), slice(5, { change: [uid] })])).toEqual(['repeated-uid']);
  });

  it('steps a single slice by its thickness, upwards', () => {
    const { volume, series: read } = readDicomSeries([slice(3)]);
    expect(volume.affine[2]).toEqual([0, 0, 5, 3]);
    expect(read.problems.map(({ code }) => code)).toEqual(['single-slice']);
  });

  it('chooses the series with most slices, or the one asked for', () => {
    const files = [
      ...[0, 5].map((z) => slice(z)),
      ...[0, 5, 10].map((z) => slice(z, { change: [series('1.2.9')] }, `b${z}`)),
    ];
    const chosen = readDicomSeries(files);
    expect([chosen.series.uid, chosen.others.map(({ uid }) => uid)]).toEqual(['1.2.9', ['1.2.3.4']]);
    expect(readDicomSeries(files, { seriesUid: '1.2.3.4' }).volume.slices).toBe(2);
    expect(() => readDicomSeries(files, { seriesUid: '9' })).toThrow('found only 1.2.9, 1.2.3.4');
  });

  it('keeps stacks of one series apart that differ in size or orientation', () => {
    const other = slice(20, { change: [ds(TAG.pixelSpacing, 0.25, 0.25)] });
    const { volume, others, series: read } = readDicomSeries([slice(0), slice(5), other]);
    expect([volume.slices, others.length]).toEqual([2, 1]);
    expect(read.problems.map(({ code }) => code)).toEqual(['mixed-geometry']);
  });

  it('keeps slices together whose orientation differs by rounding', () => {
    const jitter = [0.0005, 0.00049].map((x, k) =>
      slice(5 * k, { change: [ds(TAG.imageOrientation, 1, x, 0, -x, 1, 0)] }),
    );
    expect(readDicomSeries(jitter).volume.slices).toBe(2);
  });

  it('skips what it cannot use with the reason, and explains itself where nothing is left', () => {
    const localizer = slice(1, {
      change: [{ tag: TAG.imageType, vr: 'CS', value: ['DERIVED', 'SECONDARY', 'REF_SURVIEW'] }],
    });
    const text = { name: 'notes.txt', bytes: new TextEncoder().encode('hello') };
    const { skipped } = readDicomSeries([slice(0), localizer, text]);
    expect(skipped.map(({ file }) => file)).toEqual(['z1', 'notes.txt']);
    expect(() => readDicomSeries([localizer, text])).toThrow(/axial CT series.*localizer.*DICOM file/);
    expect(() => readDicomSeries([])).toThrow('found no files');
  });

  it('refuses a series larger than allowed before it allocates it', () => {
    const action = (): unknown => readDicomSeries([slice(0), slice(5)], { maxBytes: 20 });
    expect(action).toThrow(ImagingError);
    expect(action).toThrow('at most 20 bytes');
  });
});
