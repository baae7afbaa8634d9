import crypto from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cudaIncludes, NVCC_FLAGS } from './cuda.mjs';
import { run, say } from './progress.mjs';

const require = createRequire(import.meta.url);

// Files built for one instruction set; the code that calls them asks the processor first. Everything else is portable.
const INSTRUCTION_SETS = [
  ['.avx2.cpp', ['-mavx2', '-mfma', '-mf16c']],
  ['.avx512.cpp', ['-mavx512f', '-mavx512bw', '-mavx512vl', '-mavx512dq', '-mfma', '-mf16c']],
];

/** The first C++ compiler that answers: `{ command, version, clang }`; undefined where there is none. */
export async function findCompiler(env = process.env) {
  const wished = env.CXX?.trim().split(/\s+/).filter(Boolean) ?? [];
  const candidates = wished.length > 0 ? [wished] : [['c++'], ['g++'], ['clang++']];
  for (const [command, ...args] of candidates) {
    const answer = await run(command, [...args, '--version'], { env });
    if (answer.code !== 0) continue;
    const version = answer.stdout.split('\n')[0].trim();
    return { command, args, version, clang: /clang/i.test(version) };
  }
  return undefined;
}

/** All sources (`.cpp`; `.cu`, what CUDA's compiler takes) and headers under `native/`, as sorted relative paths. */
export function nativeFiles(native) {
  if (!fs.existsSync(native)) return { sources: [], headers: [] };
  const names = fs.readdirSync(native, { recursive: true }).map(String).sort();
  return {
    sources: names.filter((name) => /\.(cpp|cu)$/.test(name)),
    headers: names.filter((name) => /\.(h|hpp|inc|cuh)$/.test(name)),
  };
}

/**
 * Compile and link flags for one LibTorch, and the preprocessor symbols that the sources may ask for. `cuda` is CUDA's compiler and
 * runtime, where there are kernels for CUDA devices to be built.
 */
export function flagsFor(torch, compiler, cuda) {
  const include = path.join(torch.libtorch, 'include');
  const lib = path.join(torch.libtorch, 'lib');
  const system = [
    // Not node-addon-api's own include_dir: that one is relative to the working directory.
    path.dirname(require.resolve('node-addon-api')),
    require('node-api-headers').include_dir,
    // LibTorch's c10d names Gloo's headers, which no wheel has.
    fileURLToPath(new URL('../native/gloo', import.meta.url)),
    include,
    path.join(include, 'torch/csrc/api/include'),
    ...(torch.cuda ? cudaIncludes(torch.libtorch) : []),
  ];
  // at::parallel_for is inline and serial unless the caller is compiled with OpenMP. LibTorch's own libgomp is linked,
  // because a process with two OpenMP runtimes has two thread pools. Clang cannot use libgomp.
  const openmp = compiler.clang ? [] : ['-fopenmp'];
  const runtime = fs.readdirSync(lib).find((name) => /^libgomp\b.*\.so/.test(name));
  return {
    compile: [
      '-O2',
      '-std=c++20',
      '-fPIC',
      '-fvisibility=hidden',
      ...openmp,
      '-DNDEBUG',
      '-DNAPI_VERSION=9',
      '-DNODE_ADDON_API_CPP_EXCEPTIONS_ALL',
      // A worker that is being terminated can throw no more; without this its last error would end the process.
      '-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      ...(torch.cuda ? ['-DAAUNET_CUDA=1', ...(hasNccl(system) ? ['-DAAUNET_NCCL=1'] : [])] : []),
      ...(cuda ? ['-DAAUNET_CUDA_KERNELS=1'] : []),
      ...system.flatMap((folder) => ['-isystem', folder]),
    ],
    link: [
      '-shared',
      `-L${lib}`,
      '-Wl,--no-as-needed',
      '-ltorch_cpu',
      '-lc10',
      ...(torch.cuda ? ['-ltorch_cuda', '-lc10_cuda', '-ltorch'] : []),
      ...(cuda ? [cuda.runtime] : []),
      ...(openmp.length === 0 ? [] : runtime === undefined ? openmp : [path.join(lib, runtime)]),
      // -Xlinker, unlike -Wl, takes folders with commas. CUDA's runtime lies in a wheel of its own, where the loader does not look.
      ...[lib, ...(cuda ? [path.dirname(cuda.runtime)] : [])].flatMap((folder) => [
        '-Xlinker',
        '-rpath',
        '-Xlinker',
        folder,
      ]),
    ],
  };
}

/** A CUDA LibTorch talks to other devices by NCCL; its header lies in a wheel of its own. */
function hasNccl(folders) {
  return folders.some((folder) => fs.existsSync(path.join(folder, 'nccl.h')));
}

/** Flags that one source gets beside the common ones: vector kernels are optimised more, or built for one processor. */
export function flagsOfSource(name, arch = process.arch) {
  const kernel = name.split(/[\\/]/)[0] === 'kernels' ? ['-O3'] : [];
  const special = arch === 'x64' ? INSTRUCTION_SETS.find(([ending]) => name.endsWith(ending)) : undefined;
  return [...kernel, ...(special?.[1] ?? [])];
}

/** A short hash of texts and buffers; a length goes in with each, so that moving bytes between parts changes the key. */
export function keyOf(parts) {
  const hash = crypto.createHash('sha256');
  for (const part of parts) {
    const bytes = Buffer.from(part);
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest('hex').slice(0, 20);
}

/** What has to be compiled: each source with its object file's key, and the key of the whole addon. */
export function planBuild(native, torch, compiler, cuda) {
  const { sources, headers } = nativeFiles(native);
  const flags = flagsFor(torch, compiler, cuda);
  const isBuilt = (name) => (name.endsWith('.cu') ? cuda !== undefined : torch.cuda || !name.startsWith('cuda/'));
  const common = keyOf([
    compiler.version,
    ...compiler.args,
    torch.version,
    ...flags.compile,
    ...headers.flatMap((name) => [name, fs.readFileSync(path.join(native, name))]),
  ]);
  // Kernels see no header of LibTorch's: their objects serve all its versions.
  const ofKernels = headers.filter((name) => name.startsWith('cuda/'));
  const commonToKernels =
    cuda &&
    keyOf([
      cuda.version,
      compiler.version,
      ...ofKernels.flatMap((name) => [name, fs.readFileSync(path.join(native, name))]),
    ]);
  const units = sources.filter(isBuilt).map((name) => {
    const isKernel = name.endsWith('.cu');
    const command = isKernel
      ? [cuda.command, ...NVCC_FLAGS, '-ccbin', compiler.command]
      : [compiler.command, ...compiler.args, ...flags.compile];
    const own = isKernel ? NVCC_FLAGS : flagsOfSource(name);
    const key = keyOf([isKernel ? commonToKernels : common, name, ...own, fs.readFileSync(path.join(native, name))]);
    const arguments_ = isKernel ? command : [...command, ...own];
    return { name, command: arguments_, key, object: `${name.replace(/[^A-Za-z0-9]+/g, '-')}-${key}.o` };
  });
  return { units, flags, key: keyOf([...units.map((unit) => unit.key), ...flags.link]) };
}

/**
 * Compiles what changed and links `build/aaunet_torch.node`. Throws one sentence (with the compiler's output as `detail`)
 * where a source does not compile.
 */
export async function buildAddon(plan, { native, build, compiler, env = process.env, force = false }) {
  const objects = path.join(build, 'obj');
  fs.mkdirSync(objects, { recursive: true });
  const waiting = plan.units.filter((unit) => force || !fs.existsSync(path.join(objects, unit.object)));
  const total = waiting.length;
  let started = 0;
  const worker = async () => {
    for (let unit = waiting.shift(); unit !== undefined; unit = waiting.shift()) {
      started += 1;
      say(`compiling ${started}/${total} ${unit.name}`);
      const object = path.join(objects, unit.object);
      const [command, ...args] = unit.command;
      try {
        const files = ['-c', path.join(native, unit.name), '-o', `${object}.tmp`];
        await mustRun(command, [...args, ...files], env, `compiling ${unit.name}`);
      } catch (error) {
        waiting.length = 0;
        fs.rmSync(`${object}.tmp`, { force: true });
        throw error;
      }
      fs.renameSync(`${object}.tmp`, object);
    }
  };
  // LibTorch's headers take over a gigabyte of memory a compilation.
  const atOnce = Math.max(1, Math.min(os.availableParallelism(), Math.floor(os.totalmem() / 2 ** 31)));
  const workers = Array.from({ length: atOnce }, worker);
  const failed = (await Promise.allSettled(workers)).find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;

  say('linking aaunet_torch.node');
  const addon = path.join(build, 'aaunet_torch.node');
  const inputs = plan.units.map((unit) => path.join(objects, unit.object));
  try {
    const args = [...compiler.args, ...inputs, ...plan.flags.link, '-o', `${addon}.tmp`];
    await mustRun(compiler.command, args, env, 'linking');
    await mustRun(process.execPath, ['-e', LOAD, `${addon}.tmp`], env, 'loading the new addon');
    fs.renameSync(`${addon}.tmp`, addon);
  } finally {
    fs.rmSync(`${addon}.tmp`, { force: true });
  }
  const used = new Set(plan.units.map((unit) => unit.object));
  for (const name of fs.readdirSync(objects)) {
    if (!used.has(name)) fs.rmSync(path.join(objects, name), { force: true });
  }
}

const LOAD = 'process.dlopen({ exports: {} }, process.argv[1])';

async function mustRun(command, args, env, doing) {
  const answer = await run(command, args, { timeoutMs: 1_800_000, env });
  if (answer.code === 0) return;
  const detail = answer.stderr.trim();
  const complaint = /(?:error|Error): .*/.exec(detail)?.[0] ?? `exit code ${answer.code}`;
  throw Object.assign(new Error(`${doing} failed (${complaint.slice(0, 300)})`), { detail });
}
