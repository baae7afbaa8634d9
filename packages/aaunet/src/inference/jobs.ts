import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { removeLeftBy } from '../atomic.js';
import { BatchRun, type BatchTask } from './batch-run.js';
import type { PredictOptions, PredictResult } from './predict.js';
import type { ModelIdentity, SegmentationReport } from './report.js';

const PROGRAM = fileURLToPath(new URL('../../bin/aaunet.js', import.meta.url));

/** What a process said last, which is its error in one sentence. */
function lastSentence(stderr: string): string | undefined {
  return stderr
    .split('\n')
    .findLast((line) => line.startsWith('error: '))
    ?.slice('error: '.length);
}

/** A process that is told to end and has not after so long hangs. */
const GRACE_MS = 10_000;

/** Does one scan in a process of its own, and returns when that has ended. @throws Error with the process's sentence, or that it crashed. */
async function runProcess(task: BatchTask, options: PredictOptions): Promise<void> {
  const { model, out, device, batch, threads, flip, probabilities, seriesUid, repair, signal } = options;
  const models = typeof model === 'string' ? [model] : model;
  const args = [
    ...[PROGRAM, 'predict', task.input, '--out', out, '--as', task.name],
    ...models.flatMap((one) => ['--model', one]),
    ...(device === undefined ? [] : ['--device', device]),
    ...(batch === undefined ? [] : ['--batch', String(batch)]),
    ...(threads === undefined ? [] : ['--threads', String(threads)]),
    ...(seriesUid === undefined ? [] : ['--series', seriesUid]),
    ...(repair === false ? ['--no-repair'] : []),
    ...(flip ? ['--flip'] : []),
    ...(probabilities ? ['--probabilities'] : []),
  ];
  // Ctrl-C goes to this process alone, which passes it on once: a second signal would end a process before it cleans up.
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  let grace: NodeJS.Timeout | undefined;
  const stop = (): void => {
    child.kill('SIGTERM');
    grace = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  };
  signal?.addEventListener('abort', stop);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-10_000);
  });
  const [code, cause] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (...end) => {
      resolve(end);
    });
  }).finally(() => {
    clearTimeout(grace);
    signal?.removeEventListener('abort', stop);
  });
  if (child.pid !== undefined) await removeLeftBy(child.pid, join(out, task.name));
  if (code === 0) return;
  throw new Error(lastSentence(stderr) ?? `The process of this scan ended with ${cause ?? `status ${code}`}.`);
}

/** Segments scans side by side in processes of their own, as many as `jobs` says: a crash costs one scan. */
export async function predictInProcesses(
  identity: ModelIdentity,
  inputs: readonly string[],
  options: PredictOptions,
): Promise<PredictResult> {
  const { jobs = 1, onEvent, signal } = options;
  const run = await BatchRun.start(identity, inputs, options);
  const waiting = [...run.tasks.entries()];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, task] = next;
      signal?.throwIfAborted();
      await run.attempt(task, async () => {
        await runProcess(task, options);
        const folder = run.folderOf(task);
        const report = JSON.parse(await readFile(join(folder, 'report.json'), 'utf8')) as SegmentationReport;
        const { input, name } = task;
        const { slices } = report.geometry;
        onEvent?.({ type: 'input', input, name, index, count: run.tasks.length, slices });
        onEvent?.({ type: 'progress', input, done: slices, total: slices });
        for (const problem of report.problems) onEvent?.({ type: 'problem', input, name, problem });
        return { input, folder, report };
      });
    }
  };
  const stopping = (error: unknown): never => {
    waiting.length = 0;
    throw error;
  };
  const workers = Array.from({ length: Math.min(jobs, waiting.length) }, () => work().catch(stopping));
  // Every process has ended, and left nothing, before this one goes on.
  await Promise.allSettled(workers);
  await Promise.all(workers);
  return run.result;
}
