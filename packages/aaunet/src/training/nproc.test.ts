import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
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
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b'], { cwd: root });
  folder = await mkdtemp(join(tmpdir(), 'aaunet-nproc-'));
  await writeTinyDataset(join(folder, 'data'));
  const config = {
    ...{ data: 'data', model: 'resnet50-unet', size: 32, batch: 4, epochs: 2, stepsPerEpoch: 2, precision: 'fp64' },
    ...{ seed: 5, learningRate: { base: 1e-4, max: 1e-4 }, cycle: { mode: 'constant' } },
    // Where a gradient is all rounding error, Adam would make a whole step of it.
    optimizer: { eps: 0.1 },
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
}, TIMEOUT);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function runTrain(
  args: readonly string[],
  environment: Record<string, string> = {},
  watch?: (child: ChildProcess) => void,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...environment };
    const child = spawn(process.execPath, [program, 'train', 'data', ...args], { cwd: folder, env });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => (output.stdout += String(chunk)));
    child.stderr.on('data', (chunk) => (output.stderr += String(chunk)));
    child.on('error', reject);
    child.on('close', (code) => {
      resolve({ code, ...output });
    });
    watch?.(child);
  });
}

const lossesOf = (run: string): number[] =>
  readMetrics(join(folder, run)).flatMap((metric) => (metric.type === 'step' ? [metric.loss] : []));

describe('aaunet train --nproc', { timeout: TIMEOUT }, () => {
  it('2 with synchronised batch norm repeats the losses of one process', async () => {
    const one = await runTrain(['--config', 'config.json', '--out', 'one']);
    const two = await runTrain(['--config', 'config.json', '--out', 'two', '--nproc', '2']);
    expect(one.code, one.stderr).toBe(0);
    expect(two.code, two.stderr).toBe(0);
    expect(two.stdout).toBe(one.stdout.replace('one', 'two'));
    expect(lossesOf('two')).toHaveLength(4);
    for (const [i, loss] of lossesOf('one').entries())
      expect(Math.abs(lossesOf('two')[i]! / loss - 1)).toBeLessThan(1e-9);
    expect(lossesOf('two')[0]! / lossesOf('one')[0]!).toBeCloseTo(1, 12);
  });

  it.runIf(process.platform === 'linux')(
    'ends all in seconds when one is killed, and one process continues',
    async () => {
      let killedAt = 0;
      const killed = await runTrain(['--config', 'config.json', '--out', 'killed', '--nproc', '2'], {}, (child) => {
        void (async () => {
          while (!existsSync(join(folder, 'killed/checkpoints/last.safetensors'))) await setTimeout(20);
          const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ');
          killedAt = Date.now();
          process.kill(Number(children.at(-1)), 'SIGKILL');
        })();
      });
      expect(Date.now() - killedAt).toBeLessThan(15_000);
      expect(killed.code).toBe(1);
      expect(killed.stderr.match(/^error: .*$/gm)).toEqual([
        'error: Process 1 of 2 was killed (SIGKILL); the last checkpoint is kept, continue with --resume.',
      ]);
      const resumed = await runTrain(['--out', 'killed', '--resume', '--nproc', '1']);
      expect(resumed.code, resumed.stderr).toBe(0);
      for (const [i, loss] of lossesOf('one').entries())
        expect(Math.abs(lossesOf('killed')[i]! / loss - 1)).toBeLessThan(1e-9);
    },
  );

  it('refuses a place outside of the group', async () => {
    const place = { RANK: '2', WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: '29599' };
    const ended = await runTrain(['--config', 'config.json', '--out', 'outside'], place);
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toBe('error: RANK should be below WORLD_SIZE (2), found 2.\n');
  });
});
