import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { writeSplits } from '../datasets/splits.js';
import { writeTinyDataset } from '../testing/tiny-dataset.js';
import { resolveTrainConfig } from '../training/config.js';
import { train } from '../training/train.js';
import { evaluateRun } from './evaluate.js';

let folder: string;
let run: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-evaluate-'));
  const data = join(folder, 'data');
  run = join(folder, 'run');
  await writeTinyDataset(data, 32);
  await writeSplits(data, { train: ['CASE_0'], val: ['CASE_1'], test: [] });
  await train(resolveTrainConfig({ data, model: 'rsu', size: 32, batch: 2, maxSteps: 1, precision: 'fp32' }), { run });
}, 60_000);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('evaluateRun', () => {
  it('refuses a part without cases before it writes anything over an evaluation', async () => {
    await writeFile(join(run, 'evaluation.json'), 'the one before');
    await expect(evaluateRun(run)).rejects.toThrow(
      /^The test part of the split of .*run is empty; choose --split train or val\.$/,
    );
    expect(await readFile(join(run, 'evaluation.json'), 'utf8')).toBe('the one before');
    expect(existsSync(join(run, 'evaluation.html'))).toBe(false);
  });
});
