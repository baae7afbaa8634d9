import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  cachedLibTorch,
  choosePythonTorch,
  describeLibTorch,
  isSupported,
  versionOfHeader,
  versionOfPython,
} from './libtorch.mjs';

describe('the version of LibTorch', () => {
  it('is supported from 2.11 on, compared as numbers, within the major version', () => {
    expect(['2.11', '2.11.0', '2.13.0+cpu', '2.14.0a0+git12', '2.100.0'].filter((v) => !isSupported(v))).toEqual([]);
    expect(['2.9.1', '2.2.0', '1.13.1', '3.0.0', '2', 'x2.13', ''].filter(isSupported)).toEqual([]);
  });

  it('is read from the header that LibTorch ships', () => {
    const header = '#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 13\n#define TORCH_VERSION_PATCH 1\n';
    expect(versionOfHeader(header)).toBe('2.13.1');
    expect(versionOfHeader('#define TORCH_VERSION_MAJOR 2')).toBeUndefined();
  });

  it('and its CUDA release are read from a Python package without running it', () => {
    const text = (cuda) =>
      `__all__ = []\n__version__ = '2.12.0'\ndebug = False\ncuda: Optional[str] = ${cuda}\nhip = 'no'\n`;
    expect(versionOfPython(text('None'))).toEqual({ version: '2.12.0', cuda: null });
    expect(versionOfPython(text("'12.8'"))).toEqual({ version: '2.12.0', cuda: '12.8' });
    expect(versionOfPython('nothing')).toBeUndefined();
  });
});

describe('the choice among Python builds of torch', () => {
  const cpu = { folder: '/a', version: '2.12.0', cuda: null };
  const cuda = { folder: '/b', version: '2.13.0', cuda: '12.8' };
  const old = { folder: '/c', version: '2.4.0', cuda: null };

  it('prefers a CPU build, takes CUDA where there is no other, and never an old one', () => {
    expect(choosePythonTorch([old, cuda, cpu])).toBe(cpu);
    expect(choosePythonTorch([old, cuda])).toBe(cuda);
    expect(choosePythonTorch([old])).toBeUndefined();
  });

  it('follows AAUNET_CUDA', () => {
    expect(choosePythonTorch([cpu, cuda], '1')).toBe(cuda);
    expect(choosePythonTorch([cpu], '1')).toBeUndefined();
    expect(choosePythonTorch([cuda], '0')).toBeUndefined();
  });
});

describe('a LibTorch folder', () => {
  let folder;
  const write = (name, text) => {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text);
  };
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'libtorch-'));
    for (const name of [
      'lib/libtorch_cpu.so',
      'lib/libc10.so',
      'include/ATen/ATen.h',
      'include/c10/core/ScalarType.h',
    ]) {
      write(name, 'x');
    }
    write(
      'include/torch/headeronly/version.h',
      '#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 13\n#define TORCH_VERSION_PATCH 0\n',
    );
  });
  afterEach(() => {
    fs.rmSync(folder, { recursive: true, force: true });
  });

  it('is described by its version and whether it has CUDA', () => {
    expect(describeLibTorch(folder)).toEqual({ libtorch: folder, version: '2.13.0', cuda: false });
    write('lib/libtorch_cuda.so', 'x');
    expect(describeLibTorch(folder).cuda).toBe(true);
  });

  it('that was cut short is refused by the name of what is missing', () => {
    write('lib/libtorch_cpu.so', '');
    expect(() => describeLibTorch(folder)).toThrow(/libtorch_cpu\.so missing or empty/);
    expect(() => describeLibTorch(path.join(folder, 'nowhere'))).toThrow(/no complete LibTorch/);
  });

  it('of an old version is refused with the version that is needed', () => {
    write(
      'include/torch/headeronly/version.h',
      '#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 6\n#define TORCH_VERSION_PATCH 0\n',
    );
    expect(() => describeLibTorch(folder)).toThrow(/holds LibTorch 2\.6\.0, but 2\.11/);
  });
});

describe('the cache', () => {
  it('is below XDG_CACHE_HOME where that is an absolute path, else below the home folder', () => {
    expect(cachedLibTorch({ XDG_CACHE_HOME: '/var/c' })).toMatch(
      /^\/var\/c\/aaunet\/libtorch-\d+\.\d+\.\d+\+cpu-\w+\/torch$/,
    );
    expect(cachedLibTorch({ XDG_CACHE_HOME: 'relative' }).startsWith(path.join(os.homedir(), '.cache', 'aaunet'))).toBe(
      true,
    );
  });
});
