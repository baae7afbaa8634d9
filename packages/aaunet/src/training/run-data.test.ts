import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { readDataset } from '../datasets/dataset.js';
import { openSliceCache } from '../datasets/slice-cache.js';
import { writeSplits, type Splits } from '../datasets/splits.js';
import { writeTinyDataset } from '../testing/tiny-dataset.js';
import { resolveTrainConfig } from './config.js';
import { keepSplits, withRunData } from './run-data.js';

const SIZE = 32;
const OWN: Splits = { train: ['CASE_0', 'CASE_1', 'CASE_2'], val: ['CASE_3'], test: ['CASE_4'] };
const OTHER: Splits = { train: ['CASE_4', 'CASE_5'], val: ['CASE_3'], test: ['CASE_0'] };

let folder: string;
let data: string;
let run: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-run-data-'));
  data = join(folder, 'data');
  run = join(folder, 'run');
  await writeTinyDataset(data, 32);
});
beforeEach(async () => {
  await rm(run, { recursive: true, force: true });
  await mkdir(run);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function begin(splits: Splits): Promise<void> {
  const dataset = await readDataset(data);
  const cache = await openSliceCache(dataset, { size: SIZE });
  await keepSplits(run, { dataset, cache, splits });
  await cache.close();
}

function splitsNow(place = data, onWarning?: (text: string) => void): Promise<Splits> {
  const config = resolveTrainConfig({ data: place, size: SIZE });
  return withRunData(run, config, { onWarning }, ({ splits }) => Promise.resolve(splits));
}

describe('withRunData', () => {
  it('gives the split that the run was begun with, whatever the data set says by now: no trained patient is scored as unseen', async () => {
    await begin(OWN);
    await writeSplits(data, OTHER);
    expect(await splitsNow()).toMatchObject(OWN);
  });

  it('takes the split of the data set for runs of earlier versions, and says so', async () => {
    await writeSplits(data, OTHER);
    const warnings: string[] = [];
    expect(await splitsNow(data, (text) => warnings.push(text))).toEqual(OTHER);
    expect(warnings).toEqual([
      expect.stringMatching(/^.*run does not say which patients it was trained on .*has now$/),
    ]);
  });

  it('says in one sentence that a case or the data set is gone', async () => {
    await begin(OWN);
    const fewer = join(folder, 'fewer');
    await cp(data, fewer, { recursive: true });
    await rm(join(fewer, 'imagesTr', 'CASE_4_0000.nii.gz'));
    const description = JSON.parse(await readFile(join(fewer, 'dataset.json'), 'utf8')) as {
      patients: Record<string, string>;
    };
    delete description.patients['CASE_4'];
    await writeFile(join(fewer, 'dataset.json'), JSON.stringify({ ...description, numTraining: 5 }));
    await expect(splitsNow(fewer)).rejects.toThrow(
      /run.splits\.json lists the case "CASE_4", which the data set does not have\.$/,
    );
    await expect(splitsNow(join(folder, 'nowhere'))).rejects.toThrow(
      /^Expected the data of .*run in .*nowhere, where they were in training; put them back or name their place as "data" in .*run.config\.json/,
    );
  });
});
