import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { freePort } from '../testing/free-port.js';
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
  data = 'data',
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...environment };
    const child = spawn(process.execPath, [program, 'train', data, ...args], { cwd: folder, env });
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

  it('ends all with the reason of the one that failed, said once', async () => {
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>;
    // Longer than what is read ahead.
    writeFileSync(join(folder, 'long.json'), JSON.stringify({ ...config, stepsPerEpoch: 8 }));
    cpSync(join(folder, 'data'), join(folder, 'damaged'), { recursive: true });
    const args = ['--config', 'long.json', '--out', 'failed', '--nproc', '2'];
    const failed = await runTrain(
      args,
      {},
      () => {
        void (async () => {
          while (!existsSync(join(folder, 'failed/checkpoints/last.safetensors'))) await setTimeout(20);
          for (const file of readdirSync(join(folder, 'damaged'), { recursive: true, encoding: 'utf8' }))
            if (file.endsWith('.i16')) truncateSync(join(folder, 'damaged', file), 0);
        })();
      },
      'damaged',
    );
    expect(failed.code).toBe(1);
    expect(failed.stderr.match(/^error: .*$/gm)).toEqual([
      expect.stringMatching(/\.i16 is shorter than its index says; remove .* and start again/),
    ]);
    expect(existsSync(join(folder, 'failed/checkpoints/optimizer-8.safetensors'))).toBe(true);
  });

  it('refuses a place outside of the group', async () => {
    const place = { RANK: '2', WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: '29599' };
    const ended = await runTrain(['--config', 'config.json', '--out', 'outside'], place);
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toBe('error: RANK should be below WORLD_SIZE (2), found 2.\n');
  });
});

/** Starts a process for each environment, as a launcher of its own would. */
function runTeam(args: readonly string[], environments: readonly Record<string, string>[]): Promise<Ended[]> {
  return Promise.all(environments.map((environment) => runTrain(args, { OMP_NUM_THREADS: '1', ...environment })));
}

function expectLossesOfOne(run: string): void {
  expect(lossesOf(run)).toHaveLength(lossesOf('one').length);
  for (const [i, loss] of lossesOf('one').entries()) expect(Math.abs(lossesOf(run)[i]! / loss - 1)).toBeLessThan(1e-9);
}

describe('aaunet train under other launchers', { timeout: TIMEOUT }, () => {
  it("joins the processes that Kubeflow's PyTorchJob starts, which sets no local rank", async () => {
    const group = { WORLD_SIZE: '2', MASTER_ADDR: 'localhost', MASTER_PORT: await freePort() };
    const ended = await runTeam(
      ['--config', 'config.json', '--out', 'kubeflow'],
      [0, 1].map((rank) => ({ ...group, RANK: String(rank) })),
    );
    for (const { code, stderr } of ended) expect(code, stderr).toBe(0);
    // The first alone reports.
    expect(ended[1]!.stdout).toBe('');
    expectLossesOfOne('kubeflow');
  });

  it("joins the processes of Slurm's srun, which continue what one process began", async () => {
    await runTrain(['--config', 'config.json', '--out', 'slurm'], {}, (child) => {
      void (async () => {
        while (!existsSync(join(folder, 'slurm/checkpoints/last.safetensors'))) await setTimeout(20);
        child.kill('SIGKILL');
      })();
    });
    const job = {
      SLURM_NTASKS: '2',
      SLURM_JOB_ID: '1',
      SLURM_JOB_NODELIST: 'localhost',
      MASTER_PORT: await freePort(),
    };
    const ended = await runTeam(
      ['--out', 'slurm', '--resume'],
      [0, 1].map((rank) => ({ ...job, SLURM_PROCID: String(rank), SLURM_LOCALID: String(rank) })),
    );
    for (const { code, stderr } of ended) expect(code, stderr).toBe(0);
    expect(ended[0]!.stderr).toContain('resuming after step 2 of 4');
    expectLossesOfOne('slurm');
  });
});
