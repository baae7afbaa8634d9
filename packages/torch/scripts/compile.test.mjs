import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { flagsOfSource, keyOf, planBuild } from './compile.mjs';
import { pipAttempts, wheelsToUnpack } from './fetch-libtorch.mjs';
import { installAddon } from './installer.mjs';

let folder;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'compile-'));
});
afterEach(() => {
  fs.rmSync(folder, { recursive: true, force: true });
});

function write(name, text) {
  fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
  fs.writeFileSync(path.join(folder, name), text);
}

describe('the key of an object file', () => {
  const compiler = { args: [], version: 'g++ 12', clang: false };
  const torch = () => ({ libtorch: path.join(folder, 'torch'), version: '2.13.0', cuda: false });
  const plan = (change = {}) => planBuild(path.join(folder, 'native'), { ...torch(), ...change }, compiler);
  const keys = (built) => Object.fromEntries(built.units.map((unit) => [unit.name, unit.key]));
  beforeEach(() => {
    write('torch/lib/libgomp.so.1', 'x');
    write('native/a.cpp', 'a');
    write('native/kernels/b.cpp', 'b');
    write('native/a.h', 'h');
  });

  it('changes with its source alone, so that only what changed is compiled', () => {
    const before = plan();
    write('native/a.cpp', 'a2');
    const after = plan();
    expect(keys(after)['a.cpp']).not.toBe(keys(before)['a.cpp']);
    expect(keys(after)['kernels/b.cpp']).toBe(keys(before)['kernels/b.cpp']);
    expect(after.key).not.toBe(before.key);
  });

  it('changes for every object with a header, the version of LibTorch, and CUDA', () => {
    const before = keys(plan());
    for (const other of [keys(plan({ version: '2.14.0' })), keys(plan({ cuda: true }))]) {
      for (const name of ['a.cpp', 'kernels/b.cpp']) expect(other[name]).not.toBe(before[name]);
    }
    write('native/a.h', 'h2');
    const after = keys(plan());
    for (const name of ['a.cpp', 'kernels/b.cpp']) expect(after[name]).not.toBe(before[name]);
  });

  it('is the same from every working directory', () => {
    const before = plan();
    const home = process.cwd();
    try {
      process.chdir(folder);
      expect(plan().key).toBe(before.key);
    } finally {
      process.chdir(home);
    }
  });

  it('tells apart parts that join to the same text', () => {
    expect(keyOf(['ab', 'c'])).not.toBe(keyOf(['a', 'bc']));
    expect(keyOf(['ab', ''])).not.toBe(keyOf(['ab']));
  });

  it('links the OpenMP library of LibTorch, not a second one', () => {
    expect(plan().flags.link).toContain(path.join(folder, 'torch/lib/libgomp.so.1'));
    expect(plan().flags.compile).toContain('-fopenmp');
  });
});

describe('a build with kernels for CUDA devices', () => {
  const cuda = { command: 'nvcc', version: 'nvcc 13', runtime: '/wheels/nvidia/cu13/lib/libcudart.so.13' };
  const compiler = { command: 'g++-12', args: [], version: 'g++ 12', clang: false };

  it('finds the runtime library where it was linked from, and compiles with the compiler that was chosen', () => {
    write('torch/lib/libgomp.so.1', 'x');
    write('native/cuda/a.cu', 'a');
    const torch = { libtorch: path.join(folder, 'torch'), version: '2.13.0', cuda: true };
    const { units, flags } = planBuild(path.join(folder, 'native'), torch, compiler, cuda);
    expect(flags.link.join(' ')).toContain('-rpath -Xlinker /wheels/nvidia/cu13/lib');
    expect(units[0].command.join(' ')).toMatch(/^nvcc .*-ccbin g\+\+-12$/);
  });

  it('goes on without them where they do not compile', async () => {
    const tool = (name, text) => {
      write(name, `#!/bin/sh\n${text}\n`);
      fs.chmodSync(path.join(folder, name), 0o755);
      return path.join(folder, name);
    };
    // Stands for the linker's output, which is loaded to try it.
    const loadable = new URL('../build/aaunet_torch.node', import.meta.url).pathname;
    const made = `echo fake 1.0\nwhile [ $# -gt 0 ]; do [ "$1" = -o ] && cp '${loadable}' "$2"; shift; done`;
    tool(
      'cuda/bin/nvcc',
      'echo "release 13.0, V13.0.1"\ncase "$*" in *--version*) exit 0;; esac\necho "error: no" >&2\nexit 1',
    );
    for (const name of [
      'libtorch.so',
      'libtorch_cpu.so',
      'libc10.so',
      'libtorch_cuda.so',
      'libc10_cuda.so',
      'libcudart.so.13',
      'libgomp.so.1',
    ])
      write(`site/torch/lib/${name}`, 'x');
    for (const name of ['ATen/ATen.h', 'c10/core/ScalarType.h']) write(`site/torch/include/${name}`, 'x');
    const version = { MAJOR: 2, MINOR: 13, PATCH: 0 };
    const defines = Object.entries(version).map(([part, value]) => `#define TORCH_VERSION_${part} ${value}\n`);
    write('site/torch/include/torch/headeronly/version.h', defines.join(''));
    write('native/a.cpp', 'int a;');
    write('native/cuda/a.cu', 'a');
    const env = {
      ...process.env,
      CXX: tool('cxx', made),
      CUDA_HOME: path.join(folder, 'cuda'),
      LIBTORCH: path.join(folder, 'site/torch'),
    };
    expect(await installAddon({ packageFolder: folder, env, again: 'run "again"' })).toBe(true);
    expect(fs.readdirSync(path.join(folder, 'build/obj')).filter((name) => name.includes('-cu-'))).toEqual([]);
  });
});

describe('flags of a source', () => {
  it('build for one instruction set only what says so in its name, on the processor that has it', () => {
    expect(flagsOfSource('tensor.cpp', 'x64')).toEqual([]);
    expect(flagsOfSource('kernels/norm.cpp', 'x64')).toEqual(['-O3']);
    expect(flagsOfSource('kernels/norm.avx2.cpp', 'x64')).toContain('-mavx2');
    expect(flagsOfSource('kernels/norm.avx2.cpp', 'arm64')).toEqual(['-O3']);
  });
});

describe('asking pip', () => {
  it('never waits long, and asks PyTorch itself only after what the user configured', () => {
    const attempts = pipAttempts(false);
    for (const { args } of attempts) expect(args.join(' ')).toContain('--retries 0 --timeout 15');
    expect(attempts.map(({ args }) => args.includes('--index-url'))).toEqual([false, false, true, true]);
    expect(attempts.every(({ args }) => args.includes('--no-deps'))).toBe(true);
    expect(pipAttempts(true).every(({ args }) => !args.includes('--no-deps'))).toBe(true);
  });

  it('unpacks torch first, and nothing where torch is missing', () => {
    const names = [
      'nvidia_cudnn_cu12-9.whl',
      'torch-2.13.0-cp311.whl',
      'numpy-2.whl',
      'torchvision-1.whl',
      'nvidia_a.whl',
    ];
    expect(wheelsToUnpack(names)).toEqual(['torch-2.13.0-cp311.whl', 'nvidia_a.whl', 'nvidia_cudnn_cu12-9.whl']);
    expect(wheelsToUnpack(['nvidia_a.whl'])).toEqual([]);
  });
});

describe('installAddon without what it needs', () => {
  const install = (env) => installAddon({ packageFolder: folder, env, again: 'run "again"' });
  const error = () => JSON.parse(fs.readFileSync(path.join(folder, 'build/info.json'), 'utf8')).error;
  beforeEach(() => {
    write('native/a.cpp', 'int a;');
  });

  it('leaves one sentence for the loader when skipped', async () => {
    expect(await install({ AAUNET_SKIP_TORCH: '1' })).toBe(false);
    expect(error()).toMatch(/AAUNET_SKIP_TORCH=1 is set; unset it and run "again"\.$/);
  });

  it('names the compiler that did not answer', async () => {
    expect(await install({ CXX: path.join(folder, 'no-such-compiler') })).toBe(false);
    expect(error()).toMatch(/needs a C\+\+ compiler .*no-such-compiler.* and run "again"/);
  });

  it('says what is wrong with LIBTORCH instead of taking another one', async () => {
    write('cxx', '#!/bin/sh\necho fake 1.0\n');
    fs.chmodSync(path.join(folder, 'cxx'), 0o755);
    expect(await install({ CXX: path.join(folder, 'cxx'), LIBTORCH: path.join(folder, 'empty') })).toBe(false);
    expect(error()).toMatch(/LIBTORCH: .*empty is no complete LibTorch.*run "again"/);
  });
});
