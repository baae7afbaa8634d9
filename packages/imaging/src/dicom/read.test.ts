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
const codes = async (files: Named[]): Promise<string[]> =>
  (await readDicomSeries(files)).series.problems.map(({ code }) => code);

describe('readDicomSeries', () => {
  it('sorts slices from inferior to superior, whatever the order of the files', async () => {
    const { volume, series: read, skipped } = await readDicomSeries([20, 0, 10, 5, 15].map((z) => slice(z)));
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

  it("sorts upwards where the slices' own normal points down", async () => {
    const change = [ds(TAG.imageOrientation, 1, 0, 0, 0, -1, 0)];
    const { volume, series: read } = await readDicomSeries([0, 10, 5].map((z) => slice(z, { change })));
    expect(read.positions.map((position) => position[2])).toEqual([0, 5, 10]);
    expect(volume.affine[2][2]).toBe(5);
  });

  it('keeps a gantry tilt as shear and says so', async () => {
    const [cosine, sine] = [Math.cos(0.3), Math.sin(0.3)];
    const change = [ds(TAG.imageOrientation, 1, 0, 0, 0, cosine, -sine)];
    const { volume, series: read } = await readDicomSeries([0, 5, 10].map((z) => slice(z, { change })));
    expect(tiltDegrees(volume.affine)).toBeCloseTo((0.3 * 180) / Math.PI, 6);
    expect(read.tiltDegrees).toBeCloseTo((0.3 * 180) / Math.PI, 6);
    expect(volume.affine[2]).toEqual([0, expect.closeTo(-0.5 * sine, 12), 5, 0]);
    // 5 mm thick, and 4.8 mm apart along the normal.
    expect(read.problems.map(({ code }) => code)).toEqual(['gantry-tilt', 'overlapping-slices']);
  });

  it('gives uneven slices their positions and true extents, which the mL follow', async () => {
    const { volume, series: read } = await readDicomSeries([0, 4, 8, 9, 16].map((z) => slice(z)));
    expect(volume.extents).toEqual([4, 4, 2.5, 4, 7]);
    expect(volume.positions!.map((position) => position[2])).toEqual([0, 4, 8, 9, 16]);
    expect(volume.affine[2][2]).toBe(4);
    expect(voxelVolumesMl(volume)[4]).toBeCloseTo((0.5 * 0.4 * 7) / 1000, 12);
    expect(read.stepMm).toEqual({ min: 1, median: 4, max: 7 });
    expect(read.problems.map(({ code }) => code)).toEqual(['uneven-steps', 'overlapping-slices']);
  });

  it('reports slices that are missing', async () => {
    expect(await codes([0, 5, 10, 25, 30, 35].map((z) => slice(z)))).toEqual([
      'uneven-steps',
      'missing-slices',
      'uncounted-gaps',
    ]);
    const { series } = await readDicomSeries([0, 5, 10, 20, 25].map((z) => slice(z)));
    expect(series.problems.map(({ message }) => message)).toContain(
      'About 1 slice seems to be missing between those that are there.',
    );
  });

  it('counts no mL in a gap: the slices beside it stand for their own thickness', async () => {
    const read = await readDicomSeries([0, 5, 10, 25, 30, 35].map((z) => slice(z)));
    expect(read.volume.extents).toEqual([5, 5, 5, 5, 5, 5]);
    expect(read.series.problems.at(-1)!.message).toMatch(/^10\.0 mm lie in gaps/);
  });

  it('drops copies, and of different slices in one place uses the first acquired', async () => {
    const acquisition = (number: number): DicomAttribute => ({ tag: TAG.acquisitionNumber, vr: 'IS', value: number });
    expect(await codes([slice(0), slice(5), slice(5, {}, 'copy')])).toEqual(['duplicate-slices']);
    const pixels = Uint16Array.of(1, 2, 3, 4, 5, 6);
    const again = slice(5, { pixels, change: [acquisition(2)] }, 'a-first-name');
    const { volume, series: read } = await readDicomSeries([again, slice(0), slice(5, { change: [acquisition(1)] })]);
    expect(read.problems.map(({ code }) => code)).toEqual(['conflicting-slices']);
    expect([volume.slices, volume.data[11]]).toEqual([2, 5 + 500 - 1000]);
  });

  it('reports mixed thickness, missing rescaling, clamped values and shared UIDs', async () => {
    expect(await codes([slice(0), slice(5, { change: [ds(TAG.sliceThickness, 2.5)] })])).toEqual(['mixed-thickness']);
    expect(await codes([slice(0), slice(5, { change: [TAG.rescaleSlope] })])).toEqual(['rescale-assumed']);
    expect(await codes([slice(0), slice(5, { change: [ds(TAG.rescaleSlope, 50)] })])).toEqual([
      'mixed-rescale',
      'clamped-values',
    ]);
    const uid: DicomAttribute = { tag: TAG.sopInstanceUid, vr: 'UI', value: '1.2.3.0' };
    expect(await codes([slice(0), slice(5, { change: [uid] })])).toEqual(['repeated-uid']);
  });

  it('steps a single slice by its thickness, upwards', async () => {
    const { volume, series: read } = await readDicomSeries([slice(3)]);
    expect(volume.affine[2]).toEqual([0, 0, 5, 3]);
    expect(read.problems.map(({ code }) => code)).toEqual(['single-slice']);
  });

  it('chooses the series with most slices, or the one asked for', async () => {
    const files = [
      ...[0, 5].map((z) => slice(z)),
      ...[0, 5, 10].map((z) => slice(z, { change: [series('1.2.9')] }, `b${z}`)),
    ];
    const chosen = await readDicomSeries(files);
    expect([chosen.series.uid, chosen.others.map(({ uid }) => uid)]).toEqual(['1.2.9', ['1.2.3.4']]);
    expect((await readDicomSeries(files, { seriesUid: '1.2.3.4' })).volume.slices).toBe(2);
    await expect(readDicomSeries(files, { seriesUid: '9' })).rejects.toThrow('found only 1.2.9, 1.2.3.4');
  });

  it('keeps stacks of one series apart that differ in size or orientation', async () => {
    const other = slice(20, { change: [ds(TAG.pixelSpacing, 0.25, 0.25)] });
    const { volume, others, series: read } = await readDicomSeries([slice(0), slice(5), other]);
    expect([volume.slices, others.length]).toEqual([2, 1]);
    expect(read.problems.map(({ code }) => code)).toEqual(['other-series', 'mixed-geometry']);
  });

  it('keeps slices together whose orientation differs by rounding', async () => {
    const jitter = [0.0005, 0.00049].map((x, k) =>
      slice(5 * k, { change: [ds(TAG.imageOrientation, 1, x, 0, -x, 1, 0)] }),
    );
    expect((await readDicomSeries(jitter)).volume.slices).toBe(2);
  });

  it('skips what it cannot use with the reason, and explains itself where nothing is left', async () => {
    const localizer = slice(1, {
      change: [{ tag: TAG.imageType, vr: 'CS', value: ['DERIVED', 'SECONDARY', 'REF_SURVIEW'] }],
    });
    const text = { name: 'notes.txt', bytes: new TextEncoder().encode('hello') };
    const { skipped } = await readDicomSeries([slice(0), localizer, text]);
    expect(skipped.map(({ file }) => file)).toEqual(['z1', 'notes.txt']);
    await expect(readDicomSeries([localizer, text])).rejects.toThrow(/axial CT series.*localizer.*DICOM file/);
    await expect(readDicomSeries([])).rejects.toThrow('found no files');
  });

  it('refuses a series larger than allowed before it allocates it', async () => {
    const action = readDicomSeries([slice(0), slice(5)], { maxBytes: 20 });
    await expect(action).rejects.toThrow(ImagingError);
    await expect(action).rejects.toThrow('at most 20 bytes');
  });
});
