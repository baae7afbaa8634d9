import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { writeUntrainedRun } from '../testing/untrained-run.js';
import { checkpointPath } from '../training/checkpoint.js';
import { loadTrainedNetwork } from './torch-network.js';

let folder: string;
let run: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-torch-network-'));
  run = join(folder, 'run');
  await writeUntrainedRun(run);
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
