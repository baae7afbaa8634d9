import { mkdirSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { memoryStats } from '@aaunet/torch';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { mountSmallDisk, NO_SMALL_DISK } from '../testing/small-disk.js';
import { writeTinyDataset } from '../testing/tiny-dataset.js';
import { checkpointPath, readProgress } from './checkpoint.js';
import { resolveTrainConfig, type TrainConfig, type TrainConfigInput } from './config.js';
import { readMetrics } from './metrics-log.js';
import { train } from './train.js';

const STEPS_PER_EPOCH = 2;
/** In the middle of the second epoch: there is a checkpoint, and work beyond it. */
const FAULT = STEPS_PER_EPOCH + 1;
/** Holds one checkpoint of the network and the best weights, but not a second one beside them before the first is gone. */
const DISK_MEGABYTES = 400;
const TIMEOUT = 300_000;

let folder: string;
let data: string;
let tensorsBefore: number;
const runOf = (name: string): string => join(folder, name);

function configOf(over: Partial<TrainConfigInput> = {}): TrainConfig {
  return resolveTrainConfig({
    ...{ data, model: 'resnet18-unet', size: 32, batch: 2, epochs: 2, stepsPerEpoch: STEPS_PER_EPOCH },
    ...{ precision: 'fp32', seed: 3, ...over },
  });
}

/** Trains and does something to the world after a step. */
function trainWithFault(run: string, fault: () => void, config = configOf()): Promise<unknown> {
  return train(config, {
    run,
    onEvent: (event) => {
      if (event.type === 'step' && event.step === FAULT) fault();
    },
  });
}

const history = (run: string): unknown[] => readMetrics(run).map((metric) => ({ ...metric, seconds: 0, waited: 0 }));

/** Resumes and checks that nothing of the fault is left: the history is that of a training without one. */
async function expectToContinue(run: string): Promise<void> {
  expect(readProgress(checkpointPath(run, 'last')).step).toBe(STEPS_PER_EPOCH);
  await train(configOf(), { run, resume: true });
  expect(history(run)).toEqual(history(runOf('whole')));
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-faults-'));
  data = join(folder, 'data');
  await writeTinyDataset(data);
  await train(configOf(), { run: runOf('whole') });
}, TIMEOUT);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  tensorsBefore = memoryStats().tensors;
});
afterEach(() => {
  expect(memoryStats().tensors).toBe(tensorsBefore);
});

describe('a training', { timeout: TIMEOUT }, () => {
  it('whose disk fills up ends in one sentence, and continues once there is room', async ({ skip }) => {
    const run = runOf('full');
    mkdirSync(run);
    const disk = mountSmallDisk(run, DISK_MEGABYTES);
    skip(disk === null, NO_SMALL_DISK);
    try {
      const fill = (): void => {
        disk!.fill();
      };
      await expect(trainWithFault(run, fill)).rejects.toThrow(/^Cannot write .*: ENOSPC: no space left on device/);
      disk!.free();
      await expectToContinue(run);
    } finally {
      disk!.unmount();
    }
  });

  it('whose slices can no longer be read ends in a sentence that says what to do, and continues when it is done', async () => {
    const run = runOf('unreadable');
    const [key = ''] = readdirSync(join(data, '.aaunet-cache'));
    const cache = join(data, '.aaunet-cache', key);
    // Longer than what is read ahead.
    const config = configOf({ stepsPerEpoch: STEPS_PER_EPOCH + 6 });
    const damage = (): void => {
      for (const name of readdirSync(cache).filter((file) => file.endsWith('.i16'))) truncateSync(join(cache, name), 0);
    };
    await expect(trainWithFault(run, damage, config)).rejects.toThrow(
      /\.i16 is shorter than its index says; remove .*\.aaunet-cache.* and start again/,
    );
    rmSync(cache, { recursive: true });
    await train(config, { run, resume: true });
    expect(readMetrics(run).filter(({ type }) => type === 'step')).toHaveLength(2 * (STEPS_PER_EPOCH + 6));
  });
});
