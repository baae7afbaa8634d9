import { link, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { affineFromColumns } from '../affine.js';
import { ctFile } from '../dicom/fixture.js';
import { TAG } from '../dicom/tags.js';
import { loadScannedSeries } from '../dicom/scan.js';
import { writeDicomSeries } from '../dicom/write.js';
import { writeNifti, writeNiftiGz } from '../nifti/write.js';
import type { Volume } from '../volume.js';
import { readDicomFolder, scanDicomFolder } from './dicom-folder.js';
import { readNiftiFile, readNiftiFileHeader, writeNiftiFile } from './nifti-file.js';
import { readVolume } from './read-volume.js';

const SCAN: Volume<Int16Array> = {
  data: Int16Array.from({ length: 60 }, (_, index) => index * 31 - 1000),
  columns: 5,
  rows: 4,
  slices: 3,
  affine: affineFromColumns([-0.5, 0, 0], [0, -0.5, 0], [0, 0, 5], [100, 90, -30]),
};

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imaging-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function writeSeries(into: string, seed = 'case'): Promise<string[]> {
  await mkdir(into, { recursive: true });
  const paths = writeDicomSeries(SCAN, { seed }).map((bytes, k) => ({ path: join(into, `${k}.dcm`), bytes }));
  for (const { path, bytes } of paths) await writeFile(path, bytes);
  return paths.map(({ path }) => path);
}

describe('NIfTI files', () => {
  it('round-trip, compressed by name, and leave no temporary file', async () => {
    for (const name of ['scan.nii', 'scan.nii.gz']) {
      await writeNiftiFile(join(folder, name), SCAN);
      expect((await readNiftiFile(join(folder, name))).volume).toEqual(SCAN);
    }
    expect(await readdir(folder)).toEqual(['scan.nii', 'scan.nii.gz']);
    expect((await readFile(join(folder, 'scan.nii.gz')))[0]).toBe(0x1f);
  });

  it('tell their header without their voxels', async () => {
    for (const name of ['scan.nii', 'scan.nii.gz']) {
      const path = join(folder, name);
      await writeNiftiFile(path, SCAN);
      const { header } = await readNiftiFile(path);
      expect(await readNiftiFileHeader(path)).toEqual(header);
    }
    const path = join(folder, 'cut.nii');
    await writeFile(path, writeNifti(SCAN).subarray(0, 360));
    expect((await readNiftiFileHeader(path)).slices).toBe(SCAN.slices);
    await writeFile(path, writeNifti(SCAN).subarray(0, 300));
    await expect(readNiftiFileHeader(path)).rejects.toThrow(/cut\.nii: /);
  });

  it('that are cut, damaged or bombs are refused by name', async () => {
    const path = join(folder, 'bad.nii.gz');
    const packed = writeNiftiGz(SCAN);
    await writeFile(path, packed.subarray(0, packed.length - 20));
    await expect(readNiftiFile(path)).rejects.toThrow(/bad\.nii\.gz: /);
    await writeFile(path, writeNifti(SCAN).subarray(0, 400));
    await expect(readNiftiFile(path)).rejects.toThrow('truncated');
    const bomb = new Uint8Array(40_000_000);
    bomb.set(writeNifti(SCAN));
    await writeFile(path, gzipSync(bomb));
    await expect(readNiftiFile(path)).rejects.toThrow('damaged or hostile');
  });
});

describe('DICOM folders', () => {
  it('are read through subfolders, with loops of links and foreign files passed over', async () => {
    const [first] = await writeSeries(join(folder, 'study', 'series'));
    await writeFile(join(folder, 'README'), 'no image');
    await symlink(folder, join(folder, 'study', 'loop'));
    await symlink(join(folder, 'nowhere'), join(folder, 'dangling'));
    await link(first!, join(folder, 'copy.dcm'));
    const { volume, series, skipped } = await readDicomFolder(folder);
    expect(volume).toEqual({ ...SCAN, affine: volume.affine });
    expect(volume.affine.flat()).toEqual(SCAN.affine.flat().map((value) => expect.closeTo(value, 9) as number));
    expect(series.problems.map(({ code }) => code)).toEqual(['duplicate-slices']);
    expect(skipped.map(({ file }) => file)).toEqual([join(folder, 'README')]);
  });

  it('list every series, and notice a file that changes between scan and load', async () => {
    const [path] = await writeSeries(join(folder, 'a'), 'a');
    await writeSeries(join(folder, 'b'), 'b');
    const { series } = await scanDicomFolder(folder);
    expect(series.map(({ slices }) => slices.length)).toEqual([3, 3]);
    const own = series.find(({ slices }) => slices.some(({ file }) => file === path))!;
    const bytes = await readFile(path!);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(path!, bytes);
    await expect(loadScannedSeries(own)).rejects.toThrow('found it changed');
  });
});

describe('readVolume', () => {
  it('takes a NIfTI file, a DICOM folder or one of its files, by content', async () => {
    await writeFile(join(folder, 'oddly-named'), writeNiftiGz(SCAN));
    const nifti = await readVolume(join(folder, 'oddly-named'));
    expect([nifti.source, nifti.volume]).toEqual(['nifti', SCAN]);
    const paths = await writeSeries(join(folder, 'dicom'), 'a');
    const [other] = writeDicomSeries({ ...SCAN, slices: 1, data: SCAN.data.slice(0, 20) }, { seed: 'b' });
    await writeFile(join(folder, 'dicom', 'other.dcm'), other!);
    for (const path of [join(folder, 'dicom'), paths[1]!]) {
      const dicom = await readVolume(path);
      expect([dicom.source, dicom.volume.data]).toEqual(['dicom', SCAN.data]);
    }
    expect((await readVolume(join(folder, 'dicom', 'other.dcm'))).volume.slices).toBe(1);
  });

  it('takes the series of the file named, beside larger ones and stacks of the same UID, where options say nothing', async () => {
    const stack = async (name: string, z: readonly number[], study: string): Promise<void> => {
      const change = [{ tag: TAG.studyInstanceUid, vr: 'UI', value: study }] as const;
      for (const at of z) await writeFile(join(folder, `${name}${at}`), ctFile(at, { change }));
    };
    await stack('large', [0, 5, 10, 15, 20, 25], '1.2.3');
    await stack('small', [0, 5], '1.2.4');
    for (const options of [{}, { seriesUid: undefined, repair: undefined }]) {
      expect((await readVolume(join(folder, 'small5'), options)).volume.slices).toBe(2);
    }
    expect((await readVolume(join(folder, 'small5'), { seriesUid: '1.2.3.4' })).volume.slices).toBe(6);
  });

  it('says what it expected where there is nothing to read', async () => {
    await expect(readDicomFolder(join(folder, 'none'))).rejects.toThrow('Expected a folder');
    await expect(readNiftiFile(join(folder, 'none'))).rejects.toThrow('Expected a NIfTI file at');
    await expect(readVolume(join(folder, 'none'))).rejects.toThrow('found nothing there');
    await expect(readVolume(folder)).rejects.toThrow('Expected an axial CT series');
    await writeFile(join(folder, 'a.txt'), 'hello');
    await expect(readVolume(join(folder, 'a.txt'))).rejects.toThrow('no slice of an axial CT series');
  });
});
