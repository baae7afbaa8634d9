import { existsSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { LABELS } from '@aaunet/imaging';
import { writeFileAtomic } from '@aaunet/imaging/node';

import type { CasePlan } from './plan.js';
import { planDataset } from './plan.js';
import type { CaseStatistics, PhantomStatistics } from './statistics.js';
import { phantomStatistics } from './statistics.js';
import type { CaseJob } from './write-case.js';
import { writeCase } from './write-case.js';

export interface SynthesizeOptions {
  /** Default 51, as in the paper. */
  readonly cases?: number | undefined;
  /** Rows and columns, default 512. */
  readonly size?: number | undefined;
  readonly seed?: number | undefined;
  /** Also write each case as a CT series, `dicom/CASE/*.dcm`. */
  readonly dicom?: boolean | undefined;
  /** Threads, default as many as the machine has, at most 8. */
  readonly workers?: number | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
  /** Stops between cases; the folder has no `dataset.json` then. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes a phantom data set in nnU-Net v2's raw format to `out` and returns its statistics. `dataset.json`, which says
 * "synthetic", comes last: a folder without it is unfinished and may be written again. Throws where `out` holds anything
 * else already.
 */
export async function synthesize(out: string, options: SynthesizeOptions = {}): Promise<PhantomStatistics> {
  const { cases = 51, size = 512, seed = 0, dicom = false, onProgress } = options;
  if (!Number.isInteger(size) || size < 32 || size > 1024) {
    throw new Error(`Expected a phantom size from 32 to 1024 pixels, found ${size}; choose for example 512 or 128.`);
  }
  const plans = planDataset({ cases, seed });
  await refuseForeignFolder(out);
  await mkdir(join(out, 'imagesTr'), { recursive: true });
  await mkdir(join(out, 'labelsTr'), { recursive: true });

  const results = new Map<string, CaseStatistics>();
  const report = (statistics: CaseStatistics): void => {
    results.set(statistics.name, statistics);
    onProgress?.(results.size, plans.length, statistics.name);
  };
  const jobs = plans.map((plan): CaseJob => ({ out, plan, size, dicom }));
  const workers = Math.min(options.workers ?? Math.min(8, availableParallelism()), jobs.length);
  await runJobs(jobs, { workers, report, signal: options.signal });

  if (!dicom) await rm(join(out, 'dicom'), { recursive: true, force: true });
  await removeUnplanned(out, plans);
  await writeFileAtomic(join(out, 'dataset.json'), `${JSON.stringify(describe(plans), null, 2)}\n`);
  return phantomStatistics(plans.map((plan) => results.get(plan.name)!));
}

function describe(plans: readonly CasePlan[]): Record<string, unknown> {
  return {
    name: 'aaunet SYNTHETIC PHANTOMS',
    description: 'SYNTHETIC PHANTOM: computed heads, no patient data',
    synthetic: true,
    channel_names: { '0': 'CT' },
    labels: { background: 0, ...Object.fromEntries(LABELS.map(({ id, name }) => [name, id])) },
    numTraining: plans.length,
    file_ending: '.nii.gz',
    patients: Object.fromEntries(plans.map((plan) => [plan.name, plan.patient])),
    annotated: LABELS.map(({ name }) => name),
  };
}

/** An earlier, interrupted call may have planned other cases. */
async function removeUnplanned(out: string, plans: readonly CasePlan[]): Promise<void> {
  const isPlanned = (entry: string): boolean => plans.some(({ name }) => entry.split(/_0000|\./)[0] === name);
  for (const part of await readdir(out))
    for (const entry of await readdir(join(out, part)))
      if (!isPlanned(entry)) await rm(join(out, part, entry), { recursive: true });
}

async function refuseForeignFolder(out: string): Promise<void> {
  const found = existsSync(out) ? await readdir(out) : [];
  const foreign = found.find((name) => !['imagesTr', 'labelsTr', 'dicom'].includes(name));
  if (foreign !== undefined) {
    throw new Error(
      `Expected a new or empty folder for the phantoms, found "${foreign}" in ${out}; choose another folder.`,
    );
  }
  for (const part of found) {
    for (const name of await readdir(join(out, part))) {
      if (!name.startsWith('PHANTOM_') && !name.startsWith('.PHANTOM_')) {
        throw new Error(`Expected only phantoms in ${join(out, part)}, found "${name}"; choose another folder.`);
      }
    }
  }
}

interface RunOptions {
  readonly workers: number;
  readonly report: (statistics: CaseStatistics) => void;
  readonly signal: AbortSignal | undefined;
}

/** Runs the jobs in worker threads where the compiled worker exists (not under a test runner), else one by one here. */
async function runJobs(jobs: readonly CaseJob[], { workers, report, signal }: RunOptions): Promise<void> {
  const script = fileURLToPath(new URL('./case-worker.js', import.meta.url));
  if (workers < 2 || !existsSync(script)) {
    for (const job of jobs) {
      signal?.throwIfAborted();
      report(await writeCase(job));
    }
    return;
  }
  const queue = [...jobs];
  const threads = Array.from({ length: workers }, () => new Worker(script));
  try {
    await Promise.all(
      threads.map(async (thread) => {
        // Every thread ends its case first: none is left half written.
        while (!signal?.aborted) {
          const job = queue.shift();
          if (job === undefined) return;
          report(await ask(thread, job));
        }
      }),
    );
    if (queue.length > 0) signal?.throwIfAborted();
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}

function ask(thread: Worker, job: CaseJob): Promise<CaseStatistics> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      settle();
      reject(error);
    };
    const leave = (code: number): void => {
      fail(new Error(`The worker thread for ${job.plan.name} ended with code ${code}; try again with one thread.`));
    };
    const answer = (message: { statistics?: CaseStatistics; error?: string }): void => {
      settle();
      if (message.statistics !== undefined) resolve(message.statistics);
      else reject(new Error(`${job.plan.name}: ${message.error ?? 'no statistics came back'}`));
    };
    const settle = (): void => {
      thread.off('message', answer).off('error', fail).off('exit', leave);
    };
    thread.on('message', answer).on('error', fail).on('exit', leave);
    thread.postMessage(job);
  });
}
