import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { NETWORK_WINDOW } from '@aaunet/imaging';
import { manualSeed } from '@aaunet/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { buildModel } from '../models/registry.js';
import { checkpointPath, saveBest } from '../training/checkpoint.js';
import { writeModelFile } from '../training/model-file.js';
import { loadTrainedNetwork } from './torch-network.js';

const MODEL = 'resnest14-all-attention';

let folder: string;
let run: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-torch-network-'));
  run = join(folder, 'run');
  manualSeed(0);
  using network = buildModel(MODEL);
  saveBest(run, network, { step: 1, validated: 1, bestDice: 0 });
  await writeModelFile(run, {
    software: 'test',
    model: MODEL,
    annotated: ['ICH'],
    untyped: [],
    window: NETWORK_WINDOW,
    size: 64,
    fit: 'pad',
    precision: 'fp32',
    synthetic: true,
    approximateHu: false,
  });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('loadTrainedNetwork', () => {
  it("takes a file in a run's checkpoints as it takes the run", async () => {
    const whole = await loadTrainedNetwork(run);
    whole.network[Symbol.dispose]();
    const single = await loadTrainedNetwork(checkpointPath(run, 'best'));
    single.network[Symbol.dispose]();
    expect([single.sha256, single.file]).toEqual([whole.sha256, whole.file]);
  });

  it('says in a sentence where the model.json of a file should be and what to do', async () => {
    const alone = join(folder, 'elsewhere', 'alone.safetensors');
    await cp(checkpointPath(run, 'best'), alone);
    await expect(loadTrainedNetwork(alone)).rejects.toThrow(
      `Expected the model.json of ${alone} beside it or in the folder above, found none: name the run folder, or copy its model.json beside the file.`,
    );
  });
});
