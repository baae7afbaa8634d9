// What the comparisons read: a cache of slices, DICOM series and a run folder with fresh weights. Made once, then kept.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { writeDicomSeries } from '@aaunet/imaging';
import { manualSeed } from '@aaunet/torch';

import { readDataset } from '../../packages/aaunet/dist/datasets/dataset.js';
import { openSliceCache } from '../../packages/aaunet/dist/datasets/slice-cache.js';
import { buildModel } from '../../packages/aaunet/dist/models/registry.js';
import { TINY_AFFINE, tinyScan, writeTinyDataset } from '../../packages/aaunet/dist/testing/tiny-dataset.js';
import { saveBest } from '../../packages/aaunet/dist/training/checkpoint.js';
import { resolveTrainConfig } from '../../packages/aaunet/dist/training/config.js';
import { writeModelFile } from '../../packages/aaunet/dist/training/model-file.js';
import { startRun } from '../../packages/aaunet/dist/training/run-folder.js';

const SIZE = 512;
const DICOM_SLICES = 120;

/** @returns where things lie: `cache`, `run`, `series` (folder, encoding and slices of each) */
export async function prepareData(folder, { device }) {
  mkdirSync(folder, { recursive: true });
  const dataset = join(folder, 'dataset');
  if (!existsSync(join(dataset, 'dataset.json'))) await writeTinyDataset(dataset, SIZE);
  const cache = await openSliceCache(await readDataset(dataset), { size: SIZE });
  await cache.close();
  return { cache: cache.folder, run: await freshRun(folder, dataset, device), series: dicomSeries(folder) };
}

async function freshRun(folder, dataset, device) {
  const run = join(folder, 'run');
  if (existsSync(join(run, 'checkpoints/best.safetensors'))) return run;
  const config = resolveTrainConfig({ data: dataset, size: 256, precision: device === 'cpu' ? 'fp32' : 'bf16' });
  await startRun(run, config);
  const { model, window, size, precision } = config;
  const file = { software: 'benchmark', model, window, size, precision, untyped: [], synthetic: true };
  await writeModelFile(run, { ...file, annotated: ['ICH'] });
  manualSeed(0);
  const network = buildModel(model);
  saveBest(run, network, { step: 0, validated: 0, bestDice: NaN });
  network[Symbol.dispose]();
  return run;
}

function dicomSeries(folder) {
  const plain = join(folder, 'dicom-plain');
  const packed = join(folder, 'dicom-jpeg-lossless');
  if (!existsSync(plain)) {
    mkdirSync(plain);
    const { scan } = tinyScan('bench', SIZE);
    const size = SIZE * SIZE;
    const data = new Int16Array(DICOM_SLICES * size);
    for (let k = 0; k < DICOM_SLICES; k++)
      data.set(scan.data.subarray((k % scan.slices) * size).subarray(0, size), k * size);
    const volume = { ...scan, affine: TINY_AFFINE, slices: DICOM_SLICES, data };
    for (const [k, bytes] of writeDicomSeries(volume, { seed: 'bench' }).entries())
      writeFileSync(join(plain, `${String(k).padStart(4, '0')}.dcm`), bytes);
  }
  const series = [{ encoding: 'uncompressed', folder: plain, slices: DICOM_SLICES }];
  if (existsSync(packed) || compress(plain, packed))
    series.push({ encoding: 'JPEG lossless', folder: packed, slices: DICOM_SLICES });
  return series;
}

/** A compressed copy, where DCMTK is installed. */
function compress(from, to) {
  mkdirSync(to);
  try {
    for (const name of readdirSync(from)) execFileSync('dcmcjpeg', ['+e1', join(from, name), join(to, name)]);
    return true;
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    rmSync(to, { recursive: true });
    console.error('JPEG lossless is left out: dcmcjpeg (DCMTK) is not installed.');
    return false;
  }
}
