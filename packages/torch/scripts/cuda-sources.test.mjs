import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { findCompiler, flagsFor, nativeFiles } from './compile.mjs';
import { cudaIncludes, findNvcc } from './cuda.mjs';

// Machines without a CUDA device cannot run these sources, but they can keep them from rotting.

const native = fileURLToPath(new URL('../native', import.meta.url));
const info = fileURLToPath(new URL('../build/info.json', import.meta.url));
const libtorch = fs.existsSync(info) ? JSON.parse(fs.readFileSync(info, 'utf8')).libtorch : undefined;
const nvcc = await findNvcc();
const compiler = await findCompiler();
const headers = libtorch ? cudaIncludes(libtorch) : [];
const hasHeaders =
  headers.some((folder) => fs.existsSync(path.join(folder, 'cuda_runtime_api.h'))) &&
  fs.existsSync(path.join(libtorch, 'include/c10/cuda/CUDAStream.h'));
const { sources } = nativeFiles(native);

function run(command, args) {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  return { status, complaint: stderr.split('\n').filter((line) => line.includes('error')) };
}

describe('CUDA sources', () => {
  let folder;
  beforeAll(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'aaunet-cuda-'));
    // Only a CUDA build of LibTorch has this header; its values are those of such builds.
    fs.mkdirSync(path.join(folder, 'c10/cuda/impl'), { recursive: true });
    fs.writeFileSync(
      path.join(folder, 'c10/cuda/impl/cuda_cmake_macros.h'),
      '#pragma once\n#define C10_CUDA_BUILD_SHARED_LIBS\n',
    );
  });
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

  describe.skipIf(!nvcc)('with nvcc', () => {
    it.each(sources.filter((name) => name.endsWith('.cu')))(
      'compiles %s',
      (name) => {
        const flags = ['-O1', '-std=c++20', '--expt-relaxed-constexpr', '-arch=sm_80', '-Xcompiler', '-fPIC'];
        const output = path.join(folder, `${path.basename(name)}.o`);
        expect(run(nvcc.command, [...flags, '-c', path.join(native, name), '-o', output])).toEqual({
          status: 0,
          complaint: [],
        });
      },
      300_000,
    );
  });

  describe.skipIf(!hasHeaders || !compiler)('with the headers of CUDA', () => {
    const branched = sources.filter(
      (name) =>
        name.endsWith('.cpp') &&
        (name.startsWith('cuda/') || /AAUNET_CUDA_KERNELS/.test(fs.readFileSync(path.join(native, name), 'utf8'))),
    );
    it.each(branched)(
      'finds no mistake in %s',
      (name) => {
        const torch = { libtorch, cuda: true };
        const { compile } = flagsFor(torch, compiler, { runtime: '' });
        const args = [...compiler.args, '-fsyntax-only', ...compile, '-isystem', folder, path.join(native, name)];
        expect(run(compiler.command, args)).toEqual({ status: 0, complaint: [] });
      },
      300_000,
    );
  });
});
