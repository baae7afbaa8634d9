import crypto from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
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

/** All `.cpp` sources and `.h` headers under `native/`, as sorted relative paths. */
export function nativeFiles(native) {
  if (!fs.existsSync(native)) return { sources: [], headers: [] };
  const names = fs.readdirSync(native, { recursive: true }).map(String).sort();
  return {
    sources: names.filter((name) => name.endsWith('.cpp')),
    headers: names.filter((name) => /\.(h|hpp|inc)$/.test(name)),
  };
}

/** Compile and link flags for one LibTorch, and the preprocessor symbols that the sources may ask for. */
export function flagsFor(torch, compiler) {
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
      ...system.flatMap((folder) => ['-isystem', folder]),
    ],
    link: [
      '-shared',
      `-L${lib}`,
      '-Wl,--no-as-needed',
      '-ltorch_cpu',
      '-lc10',
      ...(torch.cuda ? ['-ltorch_cuda', '-lc10_cuda', '-ltorch'] : []),
      ...(openmp.length === 0 ? [] : runtime === undefined ? openmp : [path.join(lib, runtime)]),
      // -Xlinker, unlike -Wl, takes folders with commas.
      ...['-Xlinker', '-rpath', '-Xlinker', lib],
    ],
  };
}

/** A CUDA LibTorch talks to other devices by NCCL; its header lies in a wheel of its own. */
function hasNccl(folders) {
  return folders.some((folder) => fs.existsSync(path.join(folder, 'nccl.h')));
}

function cudaIncludes(libtorch) {
  const nvidia = path.join(path.dirname(libtorch), 'nvidia');
  const wheels = fs.existsSync(nvidia) ? fs.readdirSync(nvidia).map((name) => path.join(nvidia, name, 'include')) : [];
  const toolkit = path.join(process.env.CUDA_HOME ?? '/usr/local/cuda', 'include');
  return [...wheels, toolkit].filter((folder) => fs.existsSync(folder));
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
export function planBuild(native, torch, compiler) {
  const { sources, headers } = nativeFiles(native);
  const flags = flagsFor(torch, compiler);
  const common = keyOf([
    compiler.version,
    ...compiler.args,
    torch.version,
    ...flags.compile,
    ...headers.flatMap((name) => [name, fs.readFileSync(path.join(native, name))]),
  ]);
  const units = sources.map((name) => {
    const own = flagsOfSource(name);
    const key = keyOf([common, name, ...own, fs.readFileSync(path.join(native, name))]);
    return { name, own, key, object: `${name.replace(/[^A-Za-z0-9]+/g, '-')}-${key}.o` };
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
      const args = [...compiler.args, ...plan.flags.compile, ...unit.own, '-c', path.join(native, unit.name), '-o'];
      try {
        await mustRun(compiler.command, [...args, `${object}.tmp`], env, `compiling ${unit.name}`);
      } catch (error) {
        waiting.length = 0;
        fs.rmSync(`${object}.tmp`, { force: true });
        throw error;
      }
      fs.renameSync(`${object}.tmp`, object);
    }
  };
  // LibTorch's headers take over a gigabyte of memory a compilation: two at a time is what small machines stand.
  const workers = Array.from({ length: Math.min(2, os.availableParallelism()) }, worker);
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
