import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { toCanonical, writeNifti, type Volume } from '@aaunet/imaging';
import { readNiftiFile } from '@aaunet/imaging/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { imagePath, labelPath, readDataset, type Dataset } from '../datasets/dataset.js';
import { ensureSplits } from '../datasets/ensure-splits.js';
import { openSliceCache } from '../datasets/slice-cache.js';
import type { Splits } from '../datasets/splits.js';
import { grayJpeg } from '../testing/gray-jpeg.js';
import { makeZip } from '../testing/zip-folder.js';
import { importDataset, type ImportOptions } from './import-dataset.js';
import type { ImportKind } from './importers.js';
import {
  BHSD_CASES,
  binary,
  miniCase,
  put,
  SIZE,
  writeBhsd,
  writeCtIch,
  writeCtIchPictures,
  writeHemSeg,
  writeInstance22,
  writeMbhSeg,
  writeNnunet,
  writeSegCq500,
} from './miniatures.js';
import { formatImportReport, type ImportReport } from './report.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-import-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Imported {
  readonly report: ImportReport;
  readonly dataset: Dataset;
  readonly splits: Splits;
}

/** Imports and does what `train` does before its first step: read, preprocess, split. */
async function imported(
  kind: ImportKind,
  source: string,
  options: ImportOptions = {},
  name = 'out',
): Promise<Imported> {
  const out = join(folder, name);
  const report = await importDataset(kind, source, out, options);
  const dataset = await readDataset(out);
  const cache = await openSliceCache(dataset, { size: SIZE });
  const splits = await ensureSplits(dataset, cache, 1);
  await cache.close();
  return { report, dataset, splits };
}

/** Begins an import that is stopped after so many cases. */
async function stoppedAfter(count: number, kind: ImportKind): Promise<void> {
  const controller = new AbortController();
  const onProgress = (done: number): void => {
    if (done === count) controller.abort(new Error('stopped'));
  };
  const stopped = importDataset(kind, join(folder, 'src'), join(folder, 'out'), {
    onProgress,
    signal: controller.signal,
  });
  await expect(stopped).rejects.toThrow('stopped');
}

const labelsOf = async ({ dataset }: Imported, name: string): Promise<Volume> =>
  (await readNiftiFile(labelPath(dataset.folder, name))).volume;

/** How many voxels of a made case each expected label has, by the labels that it was made with. */
function expectLabels(found: Volume, name: string, expected: (label: number, slice: number) => number): void {
  const { labels } = miniCase(name);
  const wanted = labels.data.map((label, index) => expected(label, Math.floor(index / SIZE ** 2)));
  expect(Buffer.compare(Uint8Array.from(found.data), wanted)).toBe(0);
}

const text = (report: ImportReport, name: string): string =>
  report.cases
    .find((item) => item.name === name)!
    .notes.map(({ message }) => message)
    .join(' ');

/** What all sets without CSDH and air say of a label made with all seven. */
const five = (label: number): number => (label === 5 || label === 6 ? 0 : label);
const unknown = (label: number): number => (label === 0 ? 0 : 8);

describe('bhsd', () => {
  it('joins by name, takes the qform, gives its numbers their types, and keeps the studies of a patient together', async () => {
    await writeBhsd(join(folder, 'src'));
    const result = await imported('bhsd', join(folder, 'src'));
    const { report, dataset, splits } = result;
    expect(dataset.cases.map(({ name }) => name)).toEqual(BHSD_CASES);
    expect(dataset).toMatchObject({ annotated: ['ICH', 'SDH', 'SAH', 'EDH', 'IVH'], hasUnknown: false });
    for (const name of BHSD_CASES) expectLabels(await labelsOf(result, name), name, five);
    const image = (await readNiftiFile(imagePath(dataset.folder, BHSD_CASES[0]!))).volume;
    expect(image.data).toEqual(miniCase(BHSD_CASES[0]!).scan.data);
    expect([image.affine[0][0], image.affine[1][1], image.affine[2][2]]).toEqual([-4, 4, 5]);
    expect(dataset.cases[0]).toMatchObject({
      patient: 'rsna-2019:ID_aaaa1111',
      lineage: { source: 'rsna-2019', patient: 'ID_aaaa1111', study: 'ID_0000000001' },
    });
    const parts = [splits.train, splits.val, splits.test];
    expect(parts.filter((part) => part.some((name) => name.startsWith('ID_aaaa')))).toHaveLength(1);
    expect(report.skipped).toEqual([
      { name: 'ID_ffff6666_ID_0000000007', reason: 'There is no mask of this name.' },
      { name: 'ID_eeee5555_ID_0000000006', reason: 'Expected a mask of the values 0, 1, 2, 3, 4, 5, found 6.' },
    ]);
    expect(report.notes[0]?.message).toContain('3 cases for training and 2 for testing');
  });
});

describe('instance22', () => {
  it('marks blood of unknown type, and takes a mask without orientation to lie on its image', async () => {
    await writeInstance22(join(folder, 'src'));
    const result = await imported('instance22', join(folder, 'src'));
    expect(result.dataset).toMatchObject({
      annotated: [],
      untyped: ['ICH', 'SDH', 'SAH', 'EDH', 'IVH'],
      hasUnknown: true,
    });
    expect(result.dataset.cases).toHaveLength(4);
    expectLabels(await labelsOf(result, 'INSTANCE_001'), '001', unknown);
    expect(text(result.report, 'INSTANCE_001')).toContain("The mask's header has no orientation");
    expect(text(result.report, 'INSTANCE_002')).toBe('');
  });
});

describe('ct-ich', () => {
  it('names the type where the table gives a slice one, and leaves it open elsewhere', async () => {
    await writeCtIch(join(folder, 'src'));
    const result = await imported('ct-ich', join(folder, 'src'));
    const { labels } = { labels: await labelsOf(result, 'CTICH_049') };
    expectLabels(labels, '049', (label, slice) => (label === 0 ? 0 : slice === 0 ? 4 : 8));
    expect(result.dataset).toMatchObject({
      annotated: ['ICH', 'SDH', 'SAH', 'EDH', 'IVH'],
      untyped: ['ICH', 'SDH', 'SAH', 'EDH', 'IVH'],
    });
    const notes = text(result.report, 'CTICH_049');
    expect(notes).toContain('does not tell apart: 1.');
    expect(notes).toContain('no type in the table: 1.');
  });

  it('takes the pictures of releases before 1.3, with approximate HU, and says so', async () => {
    await writeCtIchPictures(join(folder, 'src'));
    const result = await imported('ct-ich', join(folder, 'src'));
    const { dataset, report } = result;
    expect(dataset).toMatchObject({ approximateHu: true, hasUnknown: true });
    expect(report).toMatchObject({ approximateHu: true, skipped: [] });
    expect(formatImportReport(report)).toContain('HU are approximate');
    for (const { name } of dataset.cases) {
      const source = name.replace('CTICH_', '');
      const { scan, labels } = miniCase(source);
      const { data } = (await readNiftiFile(imagePath(dataset.folder, name))).volume;
      // Half a gray level of the window and JPEG's rounding; air and bone are where a bone picture ends or lacks.
      const fits = (hu: number, truth: number): boolean =>
        truth > -15 && truth < 95 ? Math.abs(hu - truth) <= 2 : truth < 0 ? hu < -800 : hu >= 100;
      expect([...data].findIndex((hu, index) => !fits(hu, scan.data[index]!))).toBe(-1);
      expectLabels(await labelsOf(result, name), source, (label, slice) => [label && 4, label && 8, 0][slice]!);
      expect(labels.data.some((label) => label > 0)).toBe(true);
    }
    expect(text(report, 'CTICH_084')).toContain('without a bone picture');
    expect(text(report, 'CTICH_049')).toContain('Pictures have no geometry');
    expect(text(report, 'CTICH_049')).not.toContain('The table lists');
  });

  it('skips a patient whose pictures differ in size or are damaged, naming the picture', async () => {
    await writeCtIchPictures(join(folder, 'src'));
    const at = (name: string): string => join(folder, 'src', 'Patients_CT', name);
    await put(at('049/brain/11.jpg'), grayJpeg(new Uint8Array(64), 8, 8));
    await put(at('066/bone/12.jpg'), 'no picture');
    await put(at('050/brain/10.png'), Uint8Array.of(0x89, 0x50, 0x4e, 0x47));
    const { skipped } = await importDataset('ct-ich', join(folder, 'src'), join(folder, 'out'));
    expect(skipped.map(({ name, reason }) => `${name}: ${reason}`)).toEqual([
      'CTICH_049: Expected pictures of 64 x 64 pixels, found Patients_CT/049/brain/11.jpg of 8 x 8.',
      expect.stringContaining('CTICH_050: Expected a gray JPEG or PNG picture, found 10.png') as string,
      expect.stringContaining('CTICH_066: Expected a gray JPEG or PNG picture, found 12.jpg') as string,
    ]);
  });
});

describe('seg-cq500', () => {
  it('keeps a sheared affine, and skips a scan without mask', async () => {
    await writeSegCq500(join(folder, 'src'));
    const { report, dataset } = await imported('seg-cq500', join(folder, 'src'));
    expect(dataset.cases.map(({ patient }) => patient)).toEqual([
      'cq500:CQ500-CT-0',
      'cq500:CQ500-CT-12',
      'cq500:CQ500-CT-7',
    ]);
    expect(text(report, 'CQ500-CT-0')).toContain('gantry tilt');
    expect(report.cases[0]!.tiltDegrees).toBeCloseTo((Math.atan2(1.6, 4.7) * 180) / Math.PI, 1);
    expect(report.skipped).toEqual([{ name: 'CQ500-CT-420', reason: 'There is no ICH_mask in its folder.' }]);
  });
});

describe('mbh-seg', () => {
  it('takes the consensus, else the majority of the annotators, unknown where they are divided', async () => {
    await writeMbhSeg(join(folder, 'src'));
    const result = await imported('mbh-seg', join(folder, 'src'));
    const [one, two, three, consensus] = [
      'ID_aaaa1111_ID_0000000001',
      'ID_99990001_ID_0000000012',
      'ID_99990002_ID_0000000013',
      'case_4',
    ] as const;
    expectLabels(await labelsOf(result, one), one, five);
    // One of two, and one each of three, is no majority.
    for (const name of [two, three]) {
      expectLabels(await labelsOf(result, name), name, (label) => (label === 4 ? 8 : five(label)));
    }
    expectLabels(await labelsOf(result, consensus), consensus, five);
    expect(result.dataset).toMatchObject({ untyped: [], hasUnknown: true });
  });

  it('leaves out scans that another data set took from the same source', async () => {
    await writeBhsd(join(folder, 'bhsd'));
    await importDataset('bhsd', join(folder, 'bhsd'), join(folder, 'first'));
    await writeMbhSeg(join(folder, 'mbh'));
    const { report, dataset } = await imported('mbh-seg', join(folder, 'mbh'), { exclude: [join(folder, 'first')] });
    expect(dataset.cases.map(({ name }) => name)).not.toContain('ID_aaaa1111_ID_0000000001');
    expect(report.skipped).toEqual([
      {
        name: 'ID_aaaa1111_ID_0000000001',
        reason: expect.stringContaining('The data set BHSD has this patient') as string,
      },
    ]);
  });
});

describe('hemseg', () => {
  it('rebuilds scans from the listed slices, lays the mask on them in that order, and knows a patient again', async () => {
    await writeHemSeg(join(folder, 'src'));
    const result = await imported('hemseg', join(folder, 'src'));
    const { dataset, report } = result;
    expect(dataset).toMatchObject({ name: 'HemSeg-200', annotated: [], untyped: ['ICH', 'IVH'] });
    expectLabels(await labelsOf(result, 'scan_0'), 'scan_0', unknown);
    const image = (await readNiftiFile(imagePath(dataset.folder, 'scan_0'))).volume;
    expect(toCanonical(image).volume.data).toEqual(miniCase('scan_0').scan.data);
    expect(dataset.cases.map(({ patient }) => patient)).toEqual(
      ['P0', 'P1', 'P2', 'P2'].map((id) => `rsna-2019:PHANTOM-${id}`),
    );
    expect(text(report, 'scan_0')).toContain('in the order of their list');
  });

  it('says which slice is missing, and refuses names that lead elsewhere', async () => {
    await writeHemSeg(join(folder, 'src'));
    await rm(join(folder, 'src', 'stage_2_train', 'ID_abc000.dcm'));
    const list = join(folder, 'src', 'annotion_file_info_200.jsonl');
    const lines = await readFile(list, 'utf8');

    await put(list, lines.replace('ID_abc010.dcm', 'passwd'));
    const report = await importDataset('hemseg', join(folder, 'src'), join(folder, 'out'));
    expect(report.skipped.map(({ name, reason }) => `${name}: ${reason}`)).toEqual([
      "scan_0: Expected the slice ID_abc000.dcm in the folder of RSNA's DICOM files, found none.",
      'scan_1: Expected RSNA ids as slices, found "passwd".',
    ]);
  });

  it.each([
    ['IPH_IVH_label', '', 'HemSeg-200'],
    ['HemSeg-200', '', 'HemSeg-200'],
    // What lies deepest says it.
    ['HemSeg-200/HemSeg-500', '', 'HemSeg-500'],
    ['any', '', 'HemSeg-500'],
    ['IPH_IVH_label.zip', '', 'HemSeg-200'],
    ['any.zip', 'IPH_IVH_label/', 'HemSeg-200'],
  ])('knows by its path, here %s/%s, which of the two it is', async (named, top, expected) => {
    const { scan, labels } = miniCase('a');
    const files = { image: writeNifti(scan), label: writeNifti(binary(labels)) };
    const entries = Object.entries(files).flatMap(([kind, bytes]) => [
      [`${top}train/${kind}/a.nii`, bytes] as const,
      [`${top}val/${kind}/b.nii`, bytes] as const,
    ]);
    const source = join(folder, named);
    if (named.endsWith('.zip')) await put(source, makeZip(entries));
    else for (const [path, bytes] of entries) await put(join(source, path), bytes);
    expect((await importDataset('hemseg', source, join(folder, 'out'))).name).toBe(expected);
  });

  it('reads a scan again whose list of slices was corrected since the import was stopped', async () => {
    await writeHemSeg(join(folder, 'src'));
    await stoppedAfter(3, 'hemseg');
    const list = join(folder, 'src', 'annotion_file_info_200.jsonl');
    // The first two scans' lists had been mixed up.
    const lines = await readFile(list, 'utf8');
    await put(
      list,
      lines.replace(/"scan_(0|1)"/g, (_, n) => `"scan_${n === '0' ? 1 : 0}"`),
    );
    const { cases } = await importDataset('hemseg', join(folder, 'src'), join(folder, 'out'));
    const patients = new Map(cases.map(({ name, patient }) => [name, patient]));
    expect(patients.get('scan_0')).toBe('rsna-2019:PHANTOM-P1');
    expect(patients.get('scan_1')).toBe('rsna-2019:PHANTOM-P0');
  });

  it('asks for the DICOM files where there are none', async () => {
    await writeHemSeg(join(folder, 'src'));
    await rm(join(folder, 'src', 'stage_2_train'), { recursive: true });
    await expect(importDataset('hemseg', join(folder, 'src'), join(folder, 'out'))).rejects.toThrow('--dicom FOLDER');
  });
});

describe('nnunet', () => {
  it.each([1, 2] as const)('renumbers the labels of version %d by their names', async (version) => {
    await writeNnunet(join(folder, 'src'), version);
    const result = await imported('nnunet', join(folder, 'src'));
    expect(result.dataset.annotated).toEqual(['ICH', 'SDH', 'IVH']);
    expectLabels(await labelsOf(result, 'HEAD_001'), 'HEAD_001', (label) => ([1, 2, 7].includes(label) ? label : 0));
  });

  it('takes a data set of our own with all that it says', async () => {
    await writeCtIch(join(folder, 'src'));
    await importDataset('ct-ich', join(folder, 'src'), join(folder, 'first'));
    const { dataset } = await imported('nnunet', join(folder, 'first'));
    const { annotated, untyped, hasUnknown } = await readDataset(join(folder, 'first'));
    expect(dataset).toMatchObject({ annotated, untyped, hasUnknown });
  });

  it('keeps where the cases of a data set of our own come from, though their names do not tell', async () => {
    await writeNnunet(join(folder, 'src'), 2);
    const lineage = { source: 'rsna-2019', patient: 'ID_aaaa1111', study: 'ID_0000000001' };
    const file = join(folder, 'src', 'dataset.json');
    const ours = { ...(JSON.parse(await readFile(file, 'utf8')) as object), lineage: { HEAD_002: lineage } };
    await put(file, JSON.stringify(ours));
    const { dataset } = await imported('nnunet', join(folder, 'src'));
    expect(dataset.cases[1]).toMatchObject({ patient: 'rsna-2019:ID_aaaa1111', lineage });
    await writeBhsd(join(folder, 'bhsd'));
    const exclude = [dataset.folder];
    const { skipped } = await importDataset('bhsd', join(folder, 'bhsd'), join(folder, 'second'), { exclude });
    expect(skipped.filter(({ reason }) => reason.includes('has this patient')).map(({ name }) => name)).toEqual([
      'ID_aaaa1111_ID_0000000001',
      'ID_aaaa1111_ID_0000000002',
    ]);
  });

  it('reads a case again whose labels were corrected since the import was stopped', async () => {
    await writeNnunet(join(folder, 'src'), 2);
    await stoppedAfter(1, 'nnunet');
    const file = join(folder, 'src', 'dataset.json');
    await put(file, (await readFile(file, 'utf8')).replace('"IPH"', '"EDH"'));
    const { cases } = await importDataset('nnunet', join(folder, 'src'), join(folder, 'out'));
    expect(cases.map(({ voxels }) => [voxels[1], voxels[4]! > 0])).toEqual(cases.map(() => [0, true]));
  });

  it('refuses labels that it does not know, naming the way out', async () => {
    await writeNnunet(join(folder, 'src'), 2);
    const labels = { background: 0, liver: 1 };
    await put(join(folder, 'src', 'dataset.json'), JSON.stringify({ channel_names: { 0: 'CT' }, labels }));
    await expect(importDataset('nnunet', join(folder, 'src'), join(folder, 'out'))).rejects.toThrow(
      'found "liver": use kind "pairs"',
    );
  });
});
