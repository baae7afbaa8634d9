import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Affine } from '@aaunet/imaging';
import { writeNiftiFile } from '@aaunet/imaging/node';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { imagePath, readDataset } from '../datasets/dataset.js';
import { tinyScan, writeTinyDataset } from '../testing/tiny-dataset.js';
import { describeTrainingData } from './describe-training-data.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-describe-'));
  await writeTinyDataset(folder);
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

it('tells the voxels along the axes of the patient, however they are stored, and of the training part alone', async () => {
  const sagittal: Affine = [
    [0, 0, -6, 0],
    [-2, 0, 0, 0],
    [0, 3, 0, 0],
    [0, 0, 0, 1],
  ];
  const { scan } = tinyScan('CASE_1', 64);
  await writeNiftiFile(imagePath(folder, 'CASE_1'), { ...scan, affine: sagittal });
  const dataset = await readDataset(folder);
  const trainingData = { name: 'tiny', cases: 2, patients: 2 };
  expect(await describeTrainingData(dataset, ['CASE_0', 'CASE_1'])).toEqual({ spacing: [5, 3, 4], trainingData });
  expect(await describeTrainingData(dataset, ['CASE_0', 'CASE_2'])).toMatchObject({ spacing: [4, 4, 5] });
  expect(await describeTrainingData(dataset, ['CASE_0', 'CASE_1', 'CASE_2'])).toMatchObject({ spacing: [4, 4, 5] });
});
