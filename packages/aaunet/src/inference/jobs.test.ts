import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { corruptStudy, writeStudies } from '../testing/dicom-studies.js';
import { writePointwiseModel } from '../testing/pointwise-model.js';
import { predict, type PredictEvent } from './predict.js';

const PROGRAM = fileURLToPath(new URL('../../bin/aaunet.js', import.meta.url));
const TIMEOUT = 300_000;

let folder: string;
let model: string;
let studies: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-jobs-'));
  model = join(folder, 'model.onnx');
  await writePointwiseModel(model, [
    [0, 0],
    [20, -10],
  ]);
  studies = await writeStudies(join(folder, 'studies'), 3);
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('scans in processes of their own', { timeout: TIMEOUT }, () => {
  it('give what one process gives, and one that fails says why and stops no other', async () => {
    await corruptStudy(join(studies, 'S02'));
    const events: PredictEvent[] = [];
    const onEvent = (event: PredictEvent): void => void events.push(event);
    const options = { model, threads: 1, flip: true };
    const together = await predict([studies], { ...options, out: join(folder, 'jobs'), jobs: 2, onEvent });
    const alone = await predict([studies], { ...options, out: join(folder, 'alone') });
    expect(together.failures.map(({ input }) => input)).toEqual([join(studies, 'S02')]);
    expect(together.failures[0]!.error.message).toBe(alone.failures[0]!.error.message);
    expect(events.filter(({ type }) => type === 'input')).toHaveLength(2);
    const namesOf = async (out: string): Promise<string[]> => (await readdir(join(folder, out))).sort();
    expect(await namesOf('jobs')).toEqual(['S00', 'S01', 'manifest.json']);
    expect(await namesOf('alone')).toEqual(await namesOf('jobs'));
    for (const file of ['segmentation.nii.gz', 'report.json', 'volumes.csv', 'montage.png']) {
      const [a, b] = await Promise.all(['jobs', 'alone'].map((out) => readFile(join(folder, out, 'S01', file))));
      expect([file, a!.equals(b!)]).toEqual([file, true]);
    }
    const again = await predict([studies], { ...options, out: join(folder, 'jobs'), jobs: 2, resume: true });
    expect([again.skipped.length, again.failures.length]).toEqual([2, 1]);
  });

  it('leave nothing unfinished at a Ctrl-C, which a terminal sends to all of them', async () => {
    const out = join(folder, 'out');
    const args = [PROGRAM, 'predict', studies, '--model', model, '--out', out, '--jobs', '2', '--threads', '1'];
    const child = spawn(process.execPath, args, { stdio: 'ignore', detached: true });
    const ended = once(child, 'close');
    const isUnfinished = async (): Promise<boolean> =>
      (await readdir(out).catch(() => [])).some((name) => /^\.S0\d\..*\.tmp$/.test(name));
    while (child.exitCode === null && !(await isUnfinished())) await setTimeout(2);
    process.kill(-child.pid!, 'SIGINT');
    expect((await ended)[0]).toBe(1);
    expect((await readdir(out)).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('end with the caller, and leave nothing half', async () => {
    const out = join(folder, 'out');
    const stopped = predict([studies], { model, out, jobs: 2, threads: 1, signal: AbortSignal.timeout(300) });
    await expect(stopped).rejects.toThrow();
    for (const name of await readdir(out).catch(() => []))
      expect(name === 'manifest.json' || (await readdir(join(out, name))).includes('report.dcm')).toBe(true);
  });
});
