import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { LABELS, labelVolumesMl, sliceExtents, voxelToPatient, writeDicomSeries, type Volume } from '@aaunet/imaging';
import { readNiftiFile, readVolume } from '@aaunet/imaging/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { imagePath, labelPath, readDataset } from '../datasets/dataset.js';
import { readCase } from '../datasets/read-case.js';
import { importDataset } from './import-dataset.js';
import { binary, miniCase, put, putNifti, relabelled } from './miniatures.js';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../../../..');
const DATA = process.env['AAUNET_TEST_DATA'] ?? resolve(ROOT, '../shared/data');

let folder = '';
let source = '';
let out = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-pairs-'));
  [source, out] = [join(folder, 'src'), join(folder, 'out')];
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const write = (file: unknown): Promise<void> => put(join(source, 'pairs.json'), JSON.stringify(file));
const labels = async (name: string): Promise<Volume> => (await readNiftiFile(labelPath(out, name))).volume;

describe('pairs', () => {
  it('takes listed NIfTI and DICOM images with the values that the file explains', async () => {
    const [a, b] = [miniCase('a'), miniCase('b')];
    await putNifti(join(source, 'ct', 'a.nii.gz'), a.scan);
    await putNifti(
      join(source, 'seg', 'a.nii.gz'),
      relabelled(a.labels, (label) => (label === 0 ? 0 : 10 * label)),
    );
    for (const [k, bytes] of writeDicomSeries(b.scan, { seed: 'b' }).entries()) {
      await put(join(source, 'study b', `${k}.dcm`), bytes);
    }
    await putNifti(
      join(source, 'seg', 'b.nii'),
      relabelled(b.labels, (label) => (label === 0 ? 0 : 10 * label)),
    );
    await write({
      name: 'mine',
      labels: { 10: 'ICH', 20: 'SDH', 30: 'ignore', 40: 'background', 50: 'CSDH', 60: 'Pneumocranium', 70: 'IVH' },
      untyped: ['SAH'],
      pairs: [
        { image: 'ct/a.nii.gz', mask: 'seg/a.nii.gz', patient: 'P1' },
        { image: 'study b', mask: 'seg/b.nii', case: 'B 2', patient: 'P2' },
      ],
    });
    const report = await importDataset('pairs', source, out);
    expect(report.skipped).toEqual([]);
    const dataset = await readDataset(out);
    expect(dataset).toMatchObject({
      name: 'mine',
      annotated: ['ICH', 'SDH', 'CSDH', 'Pneumocranium', 'IVH'],
      untyped: ['SAH'],
      hasUnknown: true,
    });
    expect(dataset.cases.map(({ name, patient }) => [name, patient])).toEqual([
      ['B-2', 'P2'],
      ['a', 'P1'],
    ]);
    const expected = [0, 1, 2, 8, 0, 5, 6, 7];
    expect(Buffer.from((await labels('a')).data)).toEqual(Buffer.from(a.labels.data.map((label) => expected[label]!)));
    expect(Buffer.from((await labels('B-2')).data)).toEqual(
      Buffer.from(b.labels.data.map((label) => expected[label]!)),
    );
    expect((await readNiftiFile(imagePath(out, 'B-2'))).volume.data).toEqual(b.scan.data);
  });

  it('keeps the true places and extents of unevenly spaced slices, so that mL are those of the series itself', async () => {
    const { scan, labels: marks } = miniCase('uneven');
    const [x, y] = voxelToPatient(scan.affine, 0, 0, 0);
    // The long step is a gap, which only the slices' thickness tells: positions alone would count it as blood.
    const offsets = [0, 5, 25];
    const positions = offsets.map((z): [number, number, number] => [-x, -y, z]);
    const series = { ...scan, positions, extents: [5, 5, 5] };
    for (const [k, bytes] of writeDicomSeries(series, { seed: 'uneven' }).entries())
      await put(join(source, 'study', `${k}.dcm`), bytes);
    const { volume } = await readVolume(join(source, 'study'));
    expect(volume.positions).toEqual(positions);
    await putNifti(join(source, 'mask.nii'), { ...marks, affine: volume.affine });
    const labels = Object.fromEntries(LABELS.map(({ id, name }) => [id, name]));
    await write({ name: 'uneven', labels, pairs: [{ image: 'study', mask: 'mask.nii', case: 'one' }] });
    const report = await importDataset('pairs', source, out);
    expect(report.skipped).toEqual([]);
    const dataset = await readDataset(out);
    const [one] = dataset.cases;
    expect(one!.slicePositions).toEqual(volume.positions);
    const read = await readCase(one!, dataset);
    expect(read.image.extents).toEqual(volume.extents);
    expect(read.image.extents).not.toEqual(sliceExtents(offsets));
    expect(labelVolumesMl(read.labels)).toEqual(labelVolumesMl({ ...volume, data: read.labels.data }));
    // A data set of ours that is imported again says the same.
    await importDataset('nnunet', out, join(folder, 'again'));
    const again = await readDataset(join(folder, 'again'));
    expect((await readCase(again.cases[0]!, again)).image).toEqual(read.image);
  });

  it('reads cases again whose labels, patient, series or intercept were corrected since the import was stopped', async () => {
    for (const name of ['x', 'y']) {
      const { scan, labels: marks } = miniCase(name);
      await putNifti(join(source, `${name}.nii`), scan);
      await putNifti(join(source, `${name}-seg.nii`), binary(marks));
    }
    const pairs = ['x', 'y'].map((name) => ({ image: `${name}.nii`, mask: `${name}-seg.nii`, patient: 'P1' }));
    await write({ name: 'm', labels: { 1: 'ICH' }, pairs });
    const controller = new AbortController();
    const onProgress = (): void => {
      controller.abort(new Error('stopped'));
    };
    const stopped = importDataset('pairs', source, out, { onProgress, signal: controller.signal });
    await expect(stopped).rejects.toThrow('stopped');
    const corrected = [{ ...pairs[0], patient: 'P2' }, pairs[1]];
    await write({ name: 'm', labels: { 1: 'SDH' }, hu: { intercept: -24 }, pairs: corrected });
    const { cases } = await importDataset('pairs', source, out);
    expect(cases.map(({ patient, hu, voxels }) => [patient, hu.min, voxels[1]])).toEqual([
      ['P2', -1024, 0],
      ['P1', -1024, 0],
    ]);
    expect(cases[0]!.voxels[2]).toBeGreaterThan(0);
  });

  it('adds the intercept to NIfTI images alone: DICOM says its own', async () => {
    const { scan, labels: marks } = miniCase('x');
    await putNifti(join(source, 'n.nii'), { ...scan, data: scan.data.map((hu) => hu + 1024) });
    for (const [k, bytes] of writeDicomSeries(miniCase('d').scan, { seed: 'd' }).entries())
      await put(join(source, 'd', `${k}.dcm`), bytes);
    await putNifti(join(source, 'mask.nii'), binary(marks));
    const pairs = ['n.nii', 'd'].map((image) => ({ image, mask: 'mask.nii' }));
    await write({ name: 'm', labels: { 1: 'ICH' }, hu: { intercept: -1024 }, pairs });
    const { cases } = await importDataset('pairs', source, out);
    expect(cases.map(({ name, hu }) => [name, hu.min])).toEqual([
      ['n', -1000],
      ['d', -1000],
    ]);
  });

  it('finds pairs by a template, and adds a missing intercept', async () => {
    for (const name of ['x', 'y']) {
      const { scan, labels: marks } = miniCase(name);
      await putNifti(join(source, name, 'ct.nii.gz'), { ...scan, data: scan.data.map((hu) => hu + 1024) });
      if (name === 'x') await putNifti(join(source, 'masks', `${name}.nii.gz`), binary(marks));
    }
    const file = { name: 'm', labels: { 1: 'EDH' }, match: { image: '{case}/ct.nii.gz', mask: 'masks/{case}.nii.gz' } };
    await write(file);
    await expect(importDataset('pairs', source, out)).rejects.toThrow(/lack their intercept of about -1024/);
    await write({ ...file, hu: { intercept: -1024 } });
    const { cases } = await importDataset('pairs', join(source, 'pairs.json'), out);
    expect(cases.map(({ name, hu }) => [name, hu.min])).toEqual([['x', -1000]]);
  });

  it.each([
    ['a path out of the folder', { pairs: [{ image: '../secret.nii', mask: 'b.nii' }] }, 'without ".."'],
    ['an absolute path', { pairs: [{ image: '/etc/passwd', mask: 'b.nii' }] }, 'path below the folder'],
    ['a path of another system', { pairs: [{ image: 'C:\\x', mask: 'b.nii' }] }, 'path below the folder'],
    ['a key that is none', { pair: [] }, 'unknown key "pair"'],
    ['a type that is none', { labels: { 1: 'tumour' } }, 'labels.1'],
    ['nothing to import', { pairs: [] }, 'found none'],
  ])('refuses %s in one sentence', async (_, change, message) => {
    await write({ name: 'm', labels: { 1: 'ICH' }, ...change });
    await expect(importDataset('pairs', source, out)).rejects.toThrow(message);
  });

  it('skips what does not fit, each with its reason', async () => {
    const { scan, labels: marks } = miniCase('a');
    await putNifti(join(source, 'a.nii'), scan);
    const moved = { ...marks, affine: [marks.affine[0], marks.affine[1], [0, 0, 5, 40], marks.affine[3]] };
    await putNifti(join(source, 'good.nii'), binary(marks));
    await putNifti(join(source, 'moved.nii'), {
      ...binary(marks),
      affine: moved.affine as unknown as Volume['affine'],
    });
    await putNifti(join(source, 'short.nii'), { ...binary(marks), slices: 2, data: marks.data.slice(0, 2 * 64 * 64) });
    await putNifti(join(source, 'soft.nii'), { ...marks, data: Float32Array.from(marks.data, (label) => label * 0.3) });
    await put(join(source, 'cut.nii'), new Uint8Array(100));
    await putNifti(join(source, 'gray.nii'), { ...scan, data: Uint8Array.from(scan.data, (hu) => (hu + 1000) / 8) });
    const pair = (mask: string, image = 'a.nii') => ({ image, mask, case: mask.slice(0, -4) });
    await write({
      name: 'm',
      labels: { 1: 'ICH' },
      pairs: [
        ...['good.nii', 'moved.nii', 'short.nii', 'soft.nii', 'cut.nii', 'none.nii'].map((mask) => pair(mask)),
        { ...pair('good.nii', 'gray.nii'), case: 'gray' },
      ],
    });
    const { cases, skipped } = await importDataset('pairs', source, out);
    expect(cases.map(({ name }) => name)).toEqual(['good']);
    const reasons = new Map(skipped.map(({ name, reason }) => [name, reason]));
    expect(reasons.get('moved')).toContain('corners 50.0 mm apart');
    expect(reasons.get('short')).toContain('Expected a mask of 64 x 64 x 3 voxels like its image, found 64 x 64 x 2');
    expect(reasons.get('soft')).toContain('Expected a mask of the values 0, 1, found 0.3');
    expect(reasons.get('cut')).toContain('header size');
    expect(reasons.get('none')).toContain('none.nii');
    expect(reasons.get('gray')).toContain('gray levels');
  });

  it('lays a mask that an array library stripped of its place on its image, voxel by voxel', async () => {
    const { scan, labels: marks } = miniCase('a');
    await putNifti(join(source, 'a.nii'), scan);
    const diagonal = (x: number, y: number, z: number): Volume['affine'] => [
      [x, 0, 0, 0],
      [0, y, 0, 0],
      [0, 0, z, 0],
      [0, 0, 0, 1],
    ];
    const masks = { unit: diagonal(-1, -1, 1), spaced: diagonal(4, 4, 5), other: diagonal(-2, -2, 5) };
    for (const [name, affine] of Object.entries(masks)) {
      await putNifti(join(source, `${name}.nii`), { ...binary(marks), affine });
    }
    const pairs = Object.keys(masks).map((name) => ({ image: 'a.nii', mask: `${name}.nii`, case: name }));
    await write({ name: 'm', labels: { 1: 'ICH' }, pairs });
    const { cases, skipped } = await importDataset('pairs', source, out);
    expect(cases.map(({ name }) => name)).toEqual(['unit', 'spaced']);
    expect(skipped.map(({ name }) => name)).toEqual(['other']);
    for (const { name, notes } of cases) {
      expect(notes.map(({ message }) => message).join()).toContain("lost its image's origin");
      expect(Buffer.from((await labels(name)).data)).toEqual(Buffer.from(binary(marks).data));
    }
  });

  it('reorders a mask whose axes are stored the other way round, exactly', async () => {
    const { scan, labels: marks } = miniCase('a');
    await putNifti(join(source, 'a.nii'), scan);
    // Columns and slices reversed in memory, the affine saying so.
    const data = new Uint8Array(marks.data.length);
    for (let k = 0; k < 3; k++)
      for (let j = 0; j < 64; j++)
        for (let i = 0; i < 64; i++) data[((2 - k) * 64 + j) * 64 + 63 - i] = marks.data[(k * 64 + j) * 64 + i]!;
    const affine = [
      [4, 0, 0, 126 - 4 * 63],
      marks.affine[1],
      [0, 0, -5, 0],
      marks.affine[3],
    ] as unknown as Volume['affine'];
    await putNifti(join(source, 'm.nii'), { ...marks, data, affine });
    await write({
      name: 'm',
      labels: Object.fromEntries(
        ['ICH', 'SDH', 'SAH', 'EDH', 'CSDH', 'Pneumocranium', 'IVH'].map((n, i) => [i + 1, n]),
      ),
      pairs: [{ image: 'a.nii', mask: 'm.nii' }],
    });
    const report = await importDataset('pairs', source, out);
    expect(Buffer.from((await labels('a')).data)).toEqual(Buffer.from(marks.data));
    expect(report.cases[0]!.notes.map(({ level }) => level)).toContain('fixed');
  });
});

describe.skipIf(!existsSync(join(DATA, 'dicom-seg')))('pairs of a DICOM series and a DICOM SEG', () => {
  it('become a case, segments found by number or by name, overlaps of unknown type', async () => {
    await cp(join(DATA, 'dicom-seg'), source, { recursive: true });
    await write({
      name: 'seg',
      labels: { 1: 'ICH', orange: 'SDH', PURPLE: 'SAH', 4: 'background', 5: 'EDH' },
      pairs: [{ image: 'ct-3slice', mask: 'partial_overlaps.dcm' }],
    });
    const { cases, skipped } = await importDataset('pairs', source, out);
    expect(skipped).toEqual([]);
    expect(cases[0]!.voxels[1]).toBe(6518);
    expect(cases[0]!.voxels[8]).toBeGreaterThan(0);
    expect((await readDataset(out)).hasUnknown).toBe(true);
  });

  it('are skipped where a segment is not explained', async () => {
    await cp(join(DATA, 'dicom-seg'), source, { recursive: true });
    const pairs = [{ image: 'ct-3slice', mask: 'partial_overlaps.dcm' }];
    await write({ name: 'seg', labels: { 1: 'ICH' }, pairs });
    await expect(importDataset('pairs', source, out)).rejects.toThrow('2 (ORANGE), 3 (PURPLE)');
  });
});
