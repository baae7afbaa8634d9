import { spawnSync } from 'node:child_process';

import { afterEach, expect, it } from 'vitest';

import {
  bfloat16On,
  cudaAvailable,
  libtorchInfo,
  manualSeed,
  numThreads,
  rngState,
  setNumThreads,
  setRngState,
} from './runtime.js';
import { rand, randn, zeros } from './create.js';

const threads = numThreads();
afterEach(() => {
  setNumThreads(threads);
});

function draw(): number[] {
  using values = rand([4]);
  return values.toArray();
}

it('a seed repeats the numbers, another gives others', () => {
  manualSeed(7);
  const first = draw();
  const second = draw();
  manualSeed(7);
  expect([draw(), draw()]).toEqual([first, second]);
  manualSeed(8);
  expect(draw()).not.toEqual(first);
  for (const seed of [NaN, 0.5, '1', undefined, 2 ** 60])
    expect(() => {
      manualSeed(seed as number);
    }).toThrow('seed');
});

it('a saved state continues the sequence, also of normal numbers, which come in pairs', () => {
  manualSeed(1);
  randn([3]).dispose();
  using state = rngState();
  const expected = [draw(), randn([5]).toArray()];
  setRngState(state);
  expect([draw(), randn([5]).toArray()]).toEqual(expected);
});

it('refuses states that are none', () => {
  using short = zeros([8], { dtype: 'uint8' });
  using floats = zeros([5056]);
  using nulls = zeros([5056], { dtype: 'uint8' });
  for (const state of [short, floats, nulls, {}, null])
    expect(() => {
      setRngState(state as typeof short);
    }).toThrow();
  for (const device of ['meta', 'cuda:999', 'nowhere', '']) expect(() => rngState(device)).toThrow();
  expect(draw().length).toBe(4);
});

it('sets how many threads an operator uses', () => {
  setNumThreads(1);
  expect(numThreads()).toBe(1);
  for (const count of [0, -1, 1.5, NaN, 1e9, '2'])
    expect(() => {
      setNumThreads(count as number);
    }).toThrow('threads');
  expect(numThreads()).toBe(1);
});

it('says what LibTorch this is', () => {
  const info = libtorchInfo();
  expect(info.libtorch).toMatch(/^\d+\.\d+\.\d+/);
  expect(info.cpuCapability).not.toBe('');
  expect(cudaAvailable()).toBe(info.cudaDevices > 0);
});

it('knows that a processor without instructions for bfloat16 can still keep tensors in it, and that CUDA devices compute in it', () => {
  const { cpuBfloat16, cpuCapability } = libtorchInfo();
  expect(bfloat16On('cpu')).toBe(cpuBfloat16);
  // What has the instructions has AVX-512 (x86) or SVE and the like (Arm), not AVX2 alone.
  if (process.arch === 'x64' && !cpuCapability.startsWith('AVX512')) expect(cpuBfloat16).not.toBe('computed');
  expect([bfloat16On('cuda'), bfloat16On('cuda:1')]).toEqual(['computed', 'computed']);
});

it.skipIf(!libtorchInfo().parallel.includes('OpenMP'))(
  'threads spin briefly, so that other programs on the same cores do not multiply the time, unless the user says otherwise',
  () => {
    const setting = (env: Record<string, string>): string | undefined => {
      const clean = { ...process.env };
      delete clean['OMP_WAIT_POLICY'];
      delete clean['GOMP_SPINCOUNT'];
      const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', "await import('@aaunet/torch')"], {
        env: { ...clean, OMP_DISPLAY_ENV: 'verbose', ...env },
        encoding: 'utf8',
      });
      return /GOMP_SPINCOUNT = '(\d+)'/.exec(stderr)?.[1];
    };
    expect(setting({})).toBe('10000');
    expect(setting({ GOMP_SPINCOUNT: '77' })).toBe('77');
    expect(setting({ OMP_WAIT_POLICY: 'passive' })).toBe('0');
  },
);
