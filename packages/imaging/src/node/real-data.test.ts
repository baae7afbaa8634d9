import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { voxelVolumesMl } from '../affine.js';
import { readNifti } from '../nifti/read.js';
import { writeNifti } from '../nifti/write.js';
import { sha256, toHex } from '../sha256.js';
import { loadScannedSeries } from '../dicom/scan.js';
import type { DicomProblem } from '../dicom/series.js';
import { readDicomFolder, scanDicomFile } from './dicom-folder.js';
import { readNiftiFile } from './nifti-file.js';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../../../..');
const DATA = process.env['AAUNET_TEST_DATA'] ?? resolve(ROOT, '../shared/data');
const has = (name: string): boolean => existsSync(join(DATA, name));

describe.skipIf(!has('ge-head-ct'))('a real head CT with a tilt and two slice thicknesses', () => {
  it('has the HU, affine, steps and tilt that its headers and an independent reader give', async () => {
    const { volume, series } = await readDicomFolder(join(DATA, 'ge-head-ct'));
    expect([volume.slices, volume.rows, volume.columns]).toEqual([28, 512, 512]);
    // Of the HU volume as pydicom 3 and NumPy compute it.
    expect(toHex(sha256(new Uint8Array(volume.data.buffer)))).toBe(
      'b9f11236dfdde50d12b3566822e91d0ab3effd7e3f3b5f086bea6384932e19c1',
    );
    expect(series.tiltDegrees).toBeCloseTo(18.5, 4);
    const { min, median, max } = series.stepMm;
    [min, median, max].forEach((found, index) => {
      expect(found).toBeCloseTo([1.14, 4.22, 7.38][index]!, 6);
    });
    const step = (157.7760586 - 5.8360586) / 27;
    const expected = [
      [-0.4882812, 0, 0, 125],
      [0, -0.4882812 * 0.9483237, 0, 123.5404569],
      [0, 0.4882812 * -0.3173047, step, 5.8360586],
      [0, 0, 0, 1],
    ];
    volume.affine.flat().forEach((value, index) => {
      expect(value).toBeCloseTo(expected.flat()[index]!, 10);
    });
    expect(series.problems.map(({ code }) => code)).toEqual([
      'gantry-tilt',
      'uneven-steps',
      'mixed-thickness',
      'overlapping-slices',
    ]);
    // Fourteen slices 4 mm and fourteen 7 mm thick, 1.08 mm apart along the normal where they meet.
    const height = volume.extents!.reduce((sum, extent) => sum + extent, 0);
    const along = (series.positions.at(-1)![2] - series.positions[0]![2]) * 0.9483237;
    expect(height).toBeCloseTo(along + (volume.extents![0]! + volume.extents!.at(-1)!) / 2, 4);
    expect(voxelVolumesMl(volume)[20]).toBeCloseTo((0.4882812 ** 2 * 7.38 * 0.9483237) / 1000, 8);
  });

  it('keeps its affine, tilt included, through NIfTI', async () => {
    const { volume } = await readDicomFolder(join(DATA, 'ge-head-ct'));
    const read = readNifti(writeNifti(volume)).volume;
    expect(read.affine.flat().map((value) => value + 0)).toEqual(
      volume.affine.flat().map((value) => Math.fround(value) + 0),
    );
    expect(Buffer.compare(new Uint8Array(read.data.buffer), new Uint8Array(volume.data.buffer))).toBe(0);
  });
});

describe.skipIf(!has('philips-scouts'))('real localizers', () => {
  it('are refused as what they are', async () => {
    await expect(readDicomFolder(join(DATA, 'philips-scouts'))).rejects.toThrow(/localizer .*REF_SURVIEW/);
  });
});

describe.skipIf(!has('broken'))('real broken and odd files', () => {
  it('are each skipped with a reason, and the one CT slice is read', async () => {
    const { volume, skipped } = await readDicomFolder(join(DATA, 'broken'));
    expect([volume.slices, volume.rows]).toEqual([1, 128]);
    const reasons = new Map(skipped.map(({ file, reason }) => [file.split('/').at(-1), reason]));
    expect(reasons.get('MR_truncated.dcm')).toContain('truncated');
    expect(reasons.get('ExplVR_BigEnd.dcm')).toContain('modality US');
    expect(reasons.get('ExplVR_BigEndNoMeta.dcm')).toContain('modality RTPLAN');
    expect(reasons.get('ExplVR_LitEndNoMeta.dcm')).toContain('modality RTPLAN');
  });
});

describe.skipIf(!has('transfer-syntaxes'))('a real slice in seven encodings', () => {
  const read = async (name: string): Promise<{ hu: Int16Array; problems: readonly DicomProblem[] }> => {
    const { series } = await scanDicomFile(join(DATA, 'transfer-syntaxes', `CT2_${name}.dcm`));
    const loaded = await loadScannedSeries(series[0]!);
    return { hu: loaded.volume.data, problems: loaded.series.problems };
  };
  const codes = (problems: readonly DicomProblem[]): string[] => problems.map(({ code }) => code);

  it('is the same, bit for bit, from each of the lossless ones', async () => {
    const plain = await read('UNC');
    expect(plain.hu.length).toBe(512 * 512);
    for (const name of ['JPLL', 'JLSL', 'J2KR', 'RLE']) {
      const { hu, problems } = await read(name);
      expect(Buffer.compare(new Uint8Array(hu.buffer), new Uint8Array(plain.hu.buffer))).toBe(0);
      expect(codes(problems)).toEqual(['single-slice']);
    }
  });

  it.each([
    ['JLSN', 4, /JPEG-LS near-lossless.*up to 4 .*10\.0 : 1/],
    ['J2KI', 402, /JPEG 2000.*not bounded.*106\.0 : 1/],
  ] as const)('differs in %s by at most %i HU, which a warning with the figures says', async (name, most, words) => {
    const plain = await read('UNC');
    const { hu, problems } = await read(name);
    const error = hu.reduce((worst, value, index) => Math.max(worst, Math.abs(value - plain.hu[index]!)), 0);
    expect(error).toBe(most);
    expect(codes(problems)).toEqual(['single-slice', 'lossy-compression']);
    expect(problems[1]!.message).toMatch(words);
  });

  it('is one slice where all copies are read together: a lossless one is used', async () => {
    const { series, others } = await readDicomFolder(join(DATA, 'transfer-syntaxes'), {
      seriesUid: '1.3.6.1.4.1.5962.1.3.2.1.20040826185059.5457',
    });
    expect(others.length).toBe(1);
    expect(series.slices.map(({ pixels }) => pixels.lossy)).toEqual([false]);
    expect(codes(series.problems)).toEqual([
      'other-series',
      'other-studies',
      'single-slice',
      'duplicate-slices',
      'conflicting-slices',
    ]);
  });
});

describe.skipIf(!has('dicom-seg'))('a real implicit VR series', () => {
  it('has the HU that an independent reader gives', async () => {
    const { volume } = await readDicomFolder(join(DATA, 'dicom-seg', 'ct-3slice'));
    expect(toHex(sha256(new Uint8Array(volume.data.buffer)))).toBe(
      '88a56a4a51d188f7981153abbc7a35565be3ae84283c41ae75478464071b4863',
    );
  });

  it('and an enhanced multi-frame one have the voxels and places of their plain slices', async () => {
    const folder = join(DATA, 'dicom-seg', '24x38x3');
    const [plain, multi] = [
      await readDicomFolder(join(folder, 'image')),
      await readDicomFolder(join(folder, 'multiframe')),
    ];
    expect([multi.volume.slices, multi.volume.rows, multi.volume.columns]).toEqual([3, 38, 24]);
    expect(multi.volume).toEqual(plain.volume);
  });

  it('stand beside segmentations, which are named as what they are', async () => {
    const { skipped } = await readDicomFolder(join(DATA, 'dicom-seg'));
    const segmentations = skipped.filter(({ reason }) => reason.includes('modality SEG, a segmentation'));
    expect(segmentations.length).toBe(3);
  });
});

describe.skipIf(!has('lesion-labels'))('a real label map with a qform alone', () => {
  it('is read with its size, affine and labels', async () => {
    const { volume, header } = await readNiftiFile(join(DATA, 'lesion-labels', 'scan_0_segmentation.nii.gz'));
    expect([volume.columns, volume.rows, volume.slices, header.affineFrom]).toEqual([201, 201, 149, 'qform']);
    expect(volume.data).toBeInstanceOf(Uint8Array);
    expect([volume.affine[0][0], volume.affine[1][1], volume.affine[2][2]]).toEqual([-1, -1, 1]);
    expect(new Set(volume.data).size).toBeGreaterThan(1);
  });
});
