import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { imagePath, labelPath, readDataset } from '../datasets/dataset.js';
import { makeZip, zipFolder } from '../testing/zip-folder.js';
import { importDataset } from './import-dataset.js';
import { MINIATURES, writeInstance22 } from './miniatures.js';

let folder = '';
let source = '';
let out = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-unpack-'));
  [source, out] = [join(folder, 'src'), join(folder, 'out')];
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('a data set in a zip archive', () => {
  it.each(MINIATURES)('%s: gives what its folder gives, and leaves nothing else', async (_, kind, write, top) => {
    await write(source);
    const zip = join(folder, 'data.zip');
    await zipFolder(source, zip, top);
    const wanted = await importDataset(kind, source, join(folder, 'wanted'));
    const found = await importDataset(kind, zip, out);
    const inArchive = wanted.cases.map((item) => ({ ...item, files: item.files.map((path) => `${top}${path}`) }));
    expect(found).toEqual({ ...wanted, source: 'data.zip', cases: inArchive });
    const { cases } = await readDataset(out);
    for (const { name } of cases) {
      for (const path of [imagePath, labelPath]) {
        expect(await readFile(path(out, name))).toEqual(await readFile(path(join(folder, 'wanted'), name)));
      }
    }
    const own = ['dataset.json', 'imagesTr', 'import-report.json', 'import-report.txt', 'labelsTr'];
    expect((await readdir(out)).sort()).toEqual(own);
    expect((await readdir(folder)).sort()).toEqual(['data.zip', 'out', 'src', 'wanted']);
    expect(await readFile(join(out, 'import-report.json'), 'utf8')).not.toContain('.import');
  });

  it('goes on with the next case when an interrupted import is called again', async () => {
    await writeInstance22(source);
    const zip = join(folder, 'data.zip');
    await zipFolder(source, zip);
    const controller = new AbortController();
    const onProgress = (done: number): void => {
      if (done === 2) controller.abort(new Error('stopped'));
    };
    const first = importDataset('instance22', zip, out, { onProgress, signal: controller.signal });
    await expect(first).rejects.toThrow('stopped');
    expect((await readdir(out)).sort()).toEqual(['.import', 'imagesTr', 'labelsTr']);
    expect(await readdir(join(out, '.import'))).toEqual(['INSTANCE_001.json', 'INSTANCE_002.json']);
    const done = await readFile(imagePath(out, 'INSTANCE_001'));
    // What is there already is not read again, so this would stay.
    await writeFile(imagePath(out, 'INSTANCE_001'), done.subarray(0, 100));
    await importDataset('instance22', zip, out);
    expect((await readFile(imagePath(out, 'INSTANCE_001'))).length).toBe(100);
    expect((await readDataset(out)).cases).toHaveLength(4);
  });

  it('names the archive in what it says, and leaves no folder, where the layout is not in it', async () => {
    const zip = join(folder, 'data.zip');
    await writeFile(zip, makeZip([['readme.txt', bytes('nothing here')]]));
    await expect(importDataset('bhsd', zip, out)).rejects.toThrow(`in ${zip} for BHSD`);
    await writeFile(
      zip,
      makeZip([
        ['Dataset/imagesTr/a_0000.nii.gz', bytes('a')],
        ['Dataset/labelsTr/a.nii.gz', bytes('a')],
      ]),
    );
    await expect(importDataset('nnunet', zip, out)).rejects.toThrow(join(zip, 'Dataset', 'dataset.json'));
    await expect(importDataset('bhsd', folder, `${folder}-out`)).rejects.toThrow('found none; name data.zip.');
    expect(await readdir(folder)).toEqual([basename(zip)]);
  });

  it.each([
    ['../escaped.nii', 'hostile'],
    ['images/../../escaped.nii', 'hostile'],
    ['/etc/escaped.nii', 'hostile'],
    ['..\\escaped.nii', 'hostile'],
    ['C:\\escaped.nii', 'hostile'],
    ['images//escaped.nii', 'hostile'],
  ])('refuses the entry %s before anything is unpacked', async (name, expected) => {
    const zip = join(folder, 'data.zip');
    await writeFile(
      zip,
      makeZip([
        ['images/a.nii', bytes('a')],
        [name, bytes('b')],
      ]),
    );
    await expect(importDataset('bhsd', zip, out)).rejects.toThrow(expected);
    expect(await readdir(folder)).toEqual([basename(zip)]);
  });

  it('refuses two entries of one name, and damaged ones, and leaves nothing of them', async () => {
    const zip = join(folder, 'data.zip');
    await writeFile(
      zip,
      makeZip([
        ['images/a.nii', bytes('a')],
        ['images/a.nii', bytes('b')],
      ]),
    );
    await expect(importDataset('bhsd', zip, out)).rejects.toThrow('two of one name');
    const whole = makeZip([['images/a.nii', bytes('a'.repeat(1000))]]);
    whole[14]! ^= 1;
    whole.writeUInt32LE(1, whole.indexOf('PK\x01\x02', 'latin1') + 16);
    await writeFile(zip, whole);
    await expect(importDataset('bhsd', zip, out)).rejects.toThrow('found it damaged');
    expect(await readdir(folder)).toEqual([basename(zip)]);
  });

  it('is refused where it unpacks to more than the disk holds, before anything is written', async () => {
    const zip = join(folder, 'data.zip');
    const files = Array.from({ length: 3 }, (_, k) => [`images/${k}.nii`, bytes('a')] as const);
    const whole = makeZip(files);
    for (let at = whole.indexOf('PK\x01\x02', 'latin1'); at >= 0; at = whole.indexOf('PK\x01\x02', at + 4, 'latin1')) {
      whole.writeUInt32LE(0xfffffffe, at + 24);
    }
    const many = Buffer.concat([whole]);
    await writeFile(zip, many);
    await expect(importDataset('bhsd', zip, out)).rejects.toThrow(/Expected (room for|files of at most)/);
    expect(await readdir(folder)).toEqual([basename(zip)]);
  });
});
