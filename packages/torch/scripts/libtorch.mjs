import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { lastLine, run } from './progress.mjs';

/** The LibTorch that is fetched where none is found. */
export const FETCHED_VERSION = '2.13.0';
/** The oldest LibTorch that the addon compiles against. */
export const OLDEST_VERSION = '2.11';

/** `2.13.0+cpu` -> `[2, 13]`, or undefined where the text is no version. */
export function majorMinor(version) {
  const match = /^(\d+)\.(\d+)(?:[.+a-z-]|$)/.exec(version.trim());
  return match ? [Number(match[1]), Number(match[2])] : undefined;
}

/** Whether the addon supports this version of LibTorch. */
export function isSupported(version) {
  const found = majorMinor(version);
  const [major, minor] = majorMinor(OLDEST_VERSION);
  return found !== undefined && found[0] === major && found[1] >= minor;
}

/** Reads `2.13.0` out of LibTorch's `version.h`; undefined where the text has none. */
export function versionOfHeader(text) {
  const part = (name) => new RegExp(`#define\\s+TORCH_VERSION_${name}\\s+(\\d+)`).exec(text)?.[1];
  const parts = [part('MAJOR'), part('MINOR'), part('PATCH')];
  return parts.includes(undefined) ? undefined : parts.join('.');
}

/** Reads version and CUDA release (null: a CPU build) out of a Python package's `torch/version.py`. */
export function versionOfPython(text) {
  const version = /^__version__\s*=\s*['"]([^'"]+)['"]/m.exec(text)?.[1];
  const cuda = /^cuda\b[^=]*=\s*['"]([^'"]+)['"]/m.exec(text)?.[1] ?? null;
  return version === undefined ? undefined : { version, cuda };
}

/** Which of several Python builds of torch to use; undefined where none fits. `wish` is AAUNET_CUDA: '1', '0' or unset. */
export function choosePythonTorch(found, wish) {
  const fitting = found.filter((torch) => isSupported(torch.version));
  const cpu = fitting.find((torch) => torch.cuda === null);
  const cuda = fitting.find((torch) => torch.cuda !== null);
  if (wish === '1') return cuda;
  if (wish === '0') return cpu;
  return cpu ?? cuda;
}

/**
 * Checks a LibTorch folder (lib/ and include/) and describes it: `{ libtorch, version, cuda }`. Throws one sentence that
 * says what is missing.
 */
export function describeLibTorch(folder) {
  const root = path.resolve(folder);
  const needed = ['lib/libtorch_cpu.so', 'lib/libc10.so', 'include/ATen/ATen.h', 'include/c10/core/ScalarType.h'];
  const missing = needed.filter((name) => !isFilledFile(path.join(root, name)));
  if (missing.length > 0) {
    throw new Error(`${root} is no complete LibTorch: ${missing.join(', ')} missing or empty`);
  }
  const headers = ['include/torch/headeronly/version.h', 'include/torch/csrc/api/include/torch/version.h'];
  const version = headers
    .filter((name) => isFilledFile(path.join(root, name)))
    .map((name) => versionOfHeader(fs.readFileSync(path.join(root, name), 'utf8')))
    .find((found) => found !== undefined);
  if (version === undefined) throw new Error(`${root} is no complete LibTorch: no version.h tells its version`);
  if (!isSupported(version)) {
    throw new Error(`${root} holds LibTorch ${version}, but ${OLDEST_VERSION} or a later 2.x is needed`);
  }
  return { libtorch: root, version, cuda: isFilledFile(path.join(root, 'lib/libtorch_cuda.so')) };
}

function isFilledFile(file) {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  return stat !== undefined && stat.isFile() && stat.size > 0;
}

/** Where fetched copies of LibTorch are kept, outside node_modules so that a reinstall finds them. */
export function cacheFolder(env = process.env) {
  const base = env.XDG_CACHE_HOME;
  return path.join(base !== undefined && path.isAbsolute(base) ? base : path.join(os.homedir(), '.cache'), 'aaunet');
}

/** The folder of one fetched LibTorch in the cache. */
export function cachedLibTorch(env = process.env, cuda = false) {
  const name = `libtorch-${FETCHED_VERSION}+${cuda ? 'cuda' : 'cpu'}-${process.arch}`;
  return path.join(cacheFolder(env), name, 'torch');
}

// find_spec does not import torch, which would take seconds.
const FIND_TORCH = `
import importlib.util
spec = importlib.util.find_spec('torch')
print(spec.origin if spec and spec.origin else '')
`;

/** Every torch that `python3` and `python` would import: `{ folder, version, cuda }`. */
export async function pythonTorches(env = process.env) {
  const found = [];
  for (const python of ['python3', 'python']) {
    const probe = await run(python, ['-c', FIND_TORCH], { timeoutMs: 20_000, env });
    const origin = probe.code === 0 ? lastLine(probe.stdout) : '';
    if (!path.isAbsolute(origin)) continue;
    const folder = path.dirname(origin);
    const versionFile = path.join(folder, 'version.py');
    if (found.some((torch) => torch.folder === folder) || !isFilledFile(versionFile)) continue;
    const version = versionOfPython(fs.readFileSync(versionFile, 'utf8'));
    if (version !== undefined) found.push({ folder, ...version });
  }
  return found;
}
