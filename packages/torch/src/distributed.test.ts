import { execFileSync, spawn } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

import { beforeAll, describe, expect, it } from 'vitest';

import { placeFromEnvironment } from './distributed.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const torchrun = { RANK: '1', WORLD_SIZE: '2', LOCAL_RANK: '1', MASTER_ADDR: 'a', MASTER_PORT: '29500' };

describe('placeFromEnvironment', () => {
  it('knows torchrun, Kubeflow and Slurm, and a process by itself', () => {
    const first = { launcherListens: false, attempt: 0 };
    expect(placeFromEnvironment(torchrun)).toEqual({
      ...{ rank: 1, size: 2, localRank: 1 },
      ...{ host: 'a', port: 29500, ...first },
    });
    const agent = { TORCHELASTIC_USE_AGENT_STORE: 'True', TORCHELASTIC_RESTART_COUNT: '2' };
    expect(placeFromEnvironment({ ...torchrun, ...agent })).toMatchObject({ launcherListens: true, attempt: 2 });
    expect(placeFromEnvironment({ ...torchrun, LOCAL_RANK: undefined })?.localRank).toBe(0);
    const slurm = { SLURM_PROCID: '3', SLURM_NTASKS: '4', SLURM_LOCALID: '1', SLURM_JOB_ID: '77' };
    expect(placeFromEnvironment({ ...slurm, SLURM_JOB_NODELIST: 'gpu[003-005,7],x' })).toEqual({
      ...{ rank: 3, size: 4, localRank: 1 },
      ...{ host: 'gpu003', port: 15_077, ...first },
    });
    expect(placeFromEnvironment({})).toBeNull();
    expect(placeFromEnvironment({ ...torchrun, RANK: '0', WORLD_SIZE: '1' })).toBeNull();
  });

  it('refuses what does not fit, in a sentence that names the variable', () => {
    expect(() => placeFromEnvironment({ ...torchrun, RANK: '2' })).toThrow(
      'RANK should be below WORLD_SIZE (2), found 2.',
    );
    expect(() => placeFromEnvironment({ ...torchrun, RANK: '-1' })).toThrow('RANK should be a whole number');
    expect(() => placeFromEnvironment({ ...torchrun, RANK: undefined })).toThrow('RANK is missing beside WORLD_SIZE');
    expect(() => placeFromEnvironment({ ...torchrun, MASTER_ADDR: undefined })).toThrow('MASTER_ADDR is missing');
    expect(() => placeFromEnvironment({ ...torchrun, MASTER_PORT: '70000' })).toThrow('MASTER_PORT should be');
  });
});

/** What a process of two runs: prints one line of JSON. */
const SCRIPT = `
const at = new URL('packages/torch/dist/', 'file://${root}');
const { fromTypedArray, manualSeed, tidy, setNumThreads } = await import(new URL('index.js', at));
const { DistributedDataParallel, placeFromEnvironment, ProcessGroup, synchronizeBatchNorm } = await import(new URL('distributed.js', at));
const { BatchNorm2d, Conv2d, Sequential } = await import(new URL('nn/index.js', at));
setNumThreads(1);
const place = placeFromEnvironment();
const group = place && ProcessGroup.join(place, { timeoutSeconds: 30 });
const [rank, size] = [place?.rank ?? 0, place?.size ?? 1];
const values = Float64Array.from({ length: 6 * 2 * 16 }, (_, i) => Math.sin(i * 0.7) + 50);
// Uneven: four images and two.
const own = (all) => (size === 1 ? all : all.narrow(0, rank * 4, rank === 0 ? 4 : 2));
const run = (normalised, format, passes) => {
  manualSeed(rank + 1);
  const net = new Sequential(new Conv2d(2, 3, 1), ...(normalised ? [new BatchNorm2d(3)] : []), new Conv2d(3, 1, 1)).to({ dtype: 'float64' });
  if (size === 1) manualSeed(1);
  synchronizeBatchNorm(net, group !== null);
  const parallel = group && new DistributedDataParallel(net, group);
  for (let step = 0; step < 2; step++) {
    net.zeroGrad();
    tidy(() => {
      const x = own(fromTypedArray(values, [6, 2, 4, 4]));
      const count = x.size(0) / passes;
      for (let p = 0; p < passes; p++) {
        const pass = () => {
          const part = x.narrow(0, p * count, count).contiguous(format);
          const loss = (parallel ?? net).forward(part).pow(3).sum().mul(size / 6);
          if (parallel) parallel.backward(loss); else loss.backward();
        };
        if (parallel && p < passes - 1) parallel.withoutReduction(pass); else pass();
      }
    });
  }
  return [...net.stateDict().values(), ...net.parameters().map((each) => each.grad)].map((each) => each.detach().to('float64').toArray()).flat();
};
const refused = (() => {
  try {
    tidy(() => group?.allReduce(fromTypedArray(values, [12, 16]).narrow(1, 0, 1)));
  } catch (error) {
    return error.message;
  }
})();
const out = { refused, kernel: run(true, 'channels_last', 1), composite: run(true, 'contiguous_format', 1), plain: run(false, 'contiguous_format', 1), accumulated: run(false, 'contiguous_format', 2) };
console.log(JSON.stringify(out));
group?.barrier();
group?.[Symbol.dispose]();
`;

interface Printed {
  refused?: string;
  kernel: number[];
  composite: number[];
  plain: number[];
  accumulated: number[];
}

function start(environment: Record<string, string>): Promise<Printed> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [output, errors] = ['', ''];
    child.stdout.on('data', (chunk) => (output += String(chunk)));
    child.stderr.on('data', (chunk) => (errors += String(chunk)));
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(output) as Printed);
      else reject(new Error(errors));
    });
  });
}

async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

function expectClose(found: readonly number[], expected: readonly number[]): void {
  expect(found.length).toBe(expected.length);
  const scale = Math.max(...expected.map(Math.abs));
  const worst = Math.max(...found.map((value, i) => Math.abs(value - expected[i]!)));
  expect(worst / scale).toBeLessThan(1e-12);
}

describe('two processes with uneven parts of a batch', { timeout: 120_000 }, () => {
  let one: Printed;
  let two: Printed[];
  beforeAll(async () => {
    execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-b', 'packages/torch'], { cwd: root });
    const group = { WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: await freePort() };
    [one, ...two] = await Promise.all([start({}), start({ ...group, RANK: '0' }), start({ ...group, RANK: '1' })]);
  }, 120_000);

  it('hold the same parameters and the gradients of the whole batch', () => {
    expect(two[1]).toEqual(two[0]);
    expectClose(two[0]!.plain, one.plain);
  });

  it('normalise by the statistics of the whole batch, with the kernel and without', () => {
    expectClose(two[0]!.kernel, one.kernel);
    expectClose(two[0]!.composite, one.kernel);
  });

  it('refuse to sum what does not fill its memory, of which a backend would take the wrong part', () => {
    for (const { refused } of two) expect(refused).toMatch(/expected a tensor that fills its memory/);
  });

  it('average once after several passes', () => {
    expectClose(two[0]!.accumulated, two[0]!.plain);
  });
});
