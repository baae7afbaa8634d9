import { existsSync } from 'node:fs';
import { arch, cpus, platform, release, totalmem } from 'node:os';
import { join } from 'node:path';

import { libtorchInfo, numThreads } from '@aaunet/torch';

import { writeJsonAtomic } from '../atomic.js';
import { trainingPrecision } from '../inference/segment.js';
import { parseWith, readJsonValue } from '../schema-errors.js';
import { SOFTWARE } from '../version.js';
import { trainConfigSchema, type TrainConfig } from './config.js';

/** What runs of versions that had no such key did. */
const EARLIER = { fit: 'stretch' };

/** The configuration of a run. @throws Error of one sentence if `run` is no run folder. */
export async function readRunConfig(run: string): Promise<TrainConfig> {
  const path = join(run, 'config.json');
  if (!existsSync(path))
    throw new Error(`Expected a run folder, as "aaunet train" writes it, at ${run}, but it has no config.json.`);
  const content = await readJsonValue(path);
  return parseWith(trainConfigSchema, { ...EARLIER, ...(content as object) }, path);
}

/** Writes into a run folder config.json (it alone repeats the run) and environment.json (what it ran on). */
export async function startRun(run: string, config: TrainConfig): Promise<void> {
  await writeJsonAtomic(join(run, 'config.json'), config);
  const torch = libtorchInfo();
  await writeJsonAtomic(join(run, 'environment.json'), {
    software: SOFTWARE,
    node: process.version,
    libtorch: torch.libtorch,
    cpu: cpus()[0]?.model ?? 'unknown',
    cpuCapability: torch.cpuCapability,
    precision: trainingPrecision(config.device, config.precision),
    cores: cpus().length,
    threads: numThreads(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()} ${arch()}`,
  });
}
