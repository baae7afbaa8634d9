import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { imagePath, labelPath, readDataset, writeDatasetFile } from './dataset.js';

let folder: string;
const valid = {
  channel_names: { '0': 'CT' },
  labels: { background: 0, ICH: 1, SDH: 2 },
  numTraining: 2,
  file_ending: '.nii.gz',
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-dataset-'));
  await mkdir(join(folder, 'imagesTr'));
  await mkdir(join(folder, 'labelsTr'));
  for (const name of ['b', 'a']) {
    await writeFile(imagePath(folder, name), '');
    await writeFile(labelPath(folder, name), '');
  }
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const read = async (file: unknown) => {
  await writeFile(join(folder, 'dataset.json'), typeof file === 'string' ? file : JSON.stringify(file));
  return readDataset(folder);
};

describe('readDataset', () => {
  it('reads a plain nnU-Net data set, tolerating keys of its own', async () => {
    const dataset = await read({ ...valid, overwrite_image_reader_writer: 'SimpleITKIO', licence: 'x' });
    expect(dataset.cases.map(({ name, patient }) => [name, patient])).toEqual([
      ['a', 'a'],
      ['b', 'b'],
    ]);
    expect(dataset).toMatchObject({ annotated: ['ICH', 'SDH'], synthetic: false });
    expect(dataset.cases[0]).toMatchObject({ image: imagePath(folder, 'a'), label: labelPath(folder, 'a') });
  });

  it('reads back what writeDatasetFile wrote', async () => {
    await writeDatasetFile(folder, {
      name: 'x',
      patients: { a: 'p', b: 'p' },
      annotated: ['IVH', 'ICH'],
      synthetic: true,
    });
    const dataset = await readDataset(folder);
    expect(dataset).toMatchObject({ name: 'x', annotated: ['ICH', 'IVH'], synthetic: true });
    expect(dataset.cases.map(({ patient }) => patient)).toEqual(['p', 'p']);
  });

  it('reads what a data set leaves open, and where its cases come from', async () => {
    expect(await read(valid)).toMatchObject({ untyped: [], hasUnknown: false });
    await writeDatasetFile(folder, {
      name: 'x',
      patients: { a: 'p', b: 'p' },
      annotated: ['ICH'],
      untyped: ['SDH', 'EDH'],
      hasUnknown: true,
      lineage: { b: { source: 'rsna-2019', patient: 'ID_1', study: 'ID_2' } },
    });
    const dataset = await readDataset(folder);
    expect(dataset).toMatchObject({ annotated: ['ICH'], untyped: ['SDH', 'EDH'], hasUnknown: true });
    expect(dataset.cases.map(({ lineage }) => lineage?.study)).toEqual([undefined, 'ID_2']);
    // nnU-Net v2 wants its "ignore" to be the highest number, without a gap.
    const { labels } = JSON.parse(await readFile(join(folder, 'dataset.json'), 'utf8')) as typeof valid;
    expect(Object.values(labels)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(Object.keys(labels).at(-1)).toBe('ignore');
  });

  it.each([
    ['an "untyped" without the label for it', { ...valid, untyped: ['SDH'] }, 'do not list "ignore" as 8'],
    ['an "ignore" with another number', { ...valid, labels: { background: 0, ICH: 1, ignore: 2 } }, 'found ignore 2'],
    ['labels with other numbers', { ...valid, labels: { background: 0, SDH: 1 } }, 'SDH 1'],
    ['labels of other kinds', { ...valid, labels: { background: 0, liver: 1 } }, 'liver 1'],
    ['a missing case', { ...valid, numTraining: 3 }, 'Expected 3 cases'],
    ['several channels', { ...valid, channel_names: { '0': 'CT', '1': 'T2' } }, 'exactly one channel'],
    ['an unknown annotated type', { ...valid, annotated: ['XYZ'] }, 'annotated'],
    ['an annotated type without label', { ...valid, annotated: ['IVH'] }, 'IVH annotated'],
    ['a case without patient', { ...valid, patients: { a: 'p' } }, 'no patient for the case b'],
    ['a patient of no case', { ...valid, patients: { a: 'p', b: 'p', c: 'p' } }, 'the case c'],
    ['path traversal', { ...valid, patients: { '../../etc/passwd': 'p' } }, 'patients'],
    ['no JSON', '{', 'Expected JSON'],
  ])('refuses %s in one sentence', async (_, file, message) => {
    await expect(read(file)).rejects.toThrow(message);
  });

  it('refuses an image without label map', async () => {
    await rm(labelPath(folder, 'a'));
    await expect(read(valid)).rejects.toThrow('labelsTr');
  });

  it('refuses case names that lead out of the folder', () => {
    for (const name of ['../a', 'a/b', '..', '', 'a\0', 'a\\b']) {
      expect(() => imagePath(folder, name)).toThrow('case name');
    }
  });
});
