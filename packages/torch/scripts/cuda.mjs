import fs from 'node:fs';
import path from 'node:path';
import { run } from './progress.mjs';

/** The folders of NVIDIA's wheels beside `torch/`, as pip lays them out. */
function wheels(libtorch) {
  const nvidia = path.join(path.dirname(libtorch), 'nvidia');
  return fs.existsSync(nvidia) ? fs.readdirSync(nvidia).map((name) => path.join(nvidia, name)) : [];
}

const toolkit = (env) => env.CUDA_HOME ?? '/usr/local/cuda';

/** Folders with CUDA's headers. */
export function cudaIncludes(libtorch, env = process.env) {
  const folders = [...wheels(libtorch), toolkit(env)].map((folder) => path.join(folder, 'include'));
  return folders.filter((folder) => fs.existsSync(folder));
}

/** CUDA's runtime library that this LibTorch uses, and its major version; undefined where none is found. */
export function cudaRuntime(libtorch, env = process.env) {
  const folders = [path.join(libtorch, 'lib'), ...wheels(libtorch).map((folder) => path.join(folder, 'lib'))];
  for (const folder of [...folders, path.join(toolkit(env), 'lib64')]) {
    const names = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
    for (const name of names) {
      const major = /^libcudart(?:-[0-9a-f]+)?\.so\.(\d+)/.exec(name)?.[1];
      if (major !== undefined) return { file: path.join(folder, name), major: Number(major) };
    }
  }
  return undefined;
}

/** CUDA's compiler: `{ command, version, major }`; undefined where none answers. */
export async function findNvcc(env = process.env) {
  for (const command of [path.join(toolkit(env), 'bin', 'nvcc'), 'nvcc']) {
    const answer = await run(command, ['--version'], { env });
    const version = /release (\d+)\.\d+, (V[\d.]+)/.exec(answer.stdout);
    if (answer.code === 0 && version) return { command, version: `nvcc ${version[2]}`, major: Number(version[1]) };
  }
  return undefined;
}

/** How nvcc compiles a kernel: for every generation of devices that it knows, and for later ones. */
export const NVCC_FLAGS = [
  '-O3',
  '-std=c++20',
  '--expt-relaxed-constexpr',
  '-arch=all-major',
  ...['-Xcompiler', '-fPIC,-fvisibility=hidden'],
];
