import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { writeTinyDataset } from '../testing/tiny-dataset.js';
import { readMetrics } from './metrics-log.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const program = join(root, 'packages/aaunet/bin/aaunet.js');
const TIMEOUT = 300_000;

let folder: string;

beforeAll(async () => {
  // The program is what the build made of these sources; up to date, this takes a second.
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b'], { cwd: root });
  folder = await mkdtemp(join(tmpdir(), 'aaunet-kill-'));
  await writeTinyDataset(join(folder, 'data'));
  const config = { data: 'data', size: 64, batch: 2, epochs: 2, stepsPerEpoch: 5, precision: 'fp32' };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
}, TIMEOUT);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Ended {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** Runs `aaunet train` in a process of its own; `watch` may end it. */
function runTrain(args: readonly string[], watch?: (kill: (signal: 'SIGKILL' | 'SIGINT') => void) => void) {
  return new Promise<Ended>((resolve, reject) => {
    const child = spawn(process.execPath, [program, 'train', 'data', ...args], { cwd: folder });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => (output.stdout += String(chunk)));
    child.stderr.on('data', (chunk) => (output.stderr += String(chunk)));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve({ code, signal, ...output });
    });
    watch?.((signal) => {
      child.kill(signal);
    });
  });
}

const lossesOf = (run: string): number[] =>
  readMetrics(join(folder, run)).flatMap((metric) => (metric.type === 'step' ? [metric.loss] : []));

/** Waits until a run has logged a step. */
async function stepDone(run: string, step: number): Promise<void> {
  while (!existsSync(join(folder, run)) || lossesOf(run).length < step) await setTimeout(5);
}

describe('aaunet train', { timeout: TIMEOUT }, () => {
  it('killed in the middle of an epoch and resumed, repeats the uninterrupted losses bit for bit', async () => {
    const whole = await runTrain(['--config', 'config.json', '--out', 'whole']);
    expect(whole).toMatchObject({ code: 0 });
    expect(lossesOf('whole')).toHaveLength(10);

    const killed = await runTrain(['--config', 'config.json', '--out', 'killed'], (kill) => {
      void stepDone('killed', 7).then(() => {
        kill('SIGKILL');
      });
    });
    expect(killed.signal).toBe('SIGKILL');
    expect(lossesOf('killed').length).toBeLessThan(10);

    // As a scheduler repeats it: the first command with --resume, which it may have had from the beginning.
    const resumed = await runTrain(['--config', 'config.json', '--out', 'killed', '--resume']);
    expect(resumed, resumed.stderr).toMatchObject({ code: 0 });
    expect(resumed.stderr).toContain('resuming after step 5 of 10');
    expect(lossesOf('killed')).toEqual(lossesOf('whole'));
    const names = readdirSync(join(folder, 'killed/checkpoints')).sort();
    expect(names).toEqual(['best.safetensors', 'last.safetensors', 'optimizer-10.safetensors']);
  });

  it('stopped by Ctrl-C, ends with a checkpoint, the command that continues, and a failure code', async () => {
    const stopped = await runTrain(['--config', 'config.json', '--out', 'stopped here'], (kill) => {
      void stepDone('stopped here', 2).then(() => {
        kill('SIGINT');
      });
    });
    expect(stopped.code).not.toBe(0);
    const steps = lossesOf('stopped here').length;
    expect(stopped.stderr).toContain(
      `Stopped after step ${steps} with a checkpoint; continue with: aaunet train data --out 'stopped here' --resume\n`,
    );
    expect(stopped.stderr).not.toContain('    at ');
    expect(existsSync(join(folder, `stopped here/checkpoints/optimizer-${steps}.safetensors`))).toBe(true);
    expect(lossesOf('stopped here')).toEqual(lossesOf('whole').slice(0, steps));
  });

  it('says in one sentence, on stderr, what is wrong', async () => {
    const again = await runTrain(['--config', 'config.json', '--out', 'whole']);
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(again.stderr).toContain('already holds a training');
    const bent = readFileSync(join(folder, 'config.json'), 'utf8').replace('"batch"', '"bach"');
    writeFileSync(join(folder, 'bent.json'), bent);
    const unknown = await runTrain(['--config', 'bent.json', '--out', 'bent']);
    expect(unknown.code).not.toBe(0);
    expect(unknown.stderr).toContain('unknown key "bach"');
    expect(existsSync(join(folder, 'bent'))).toBe(false);
  });
});
