import fs from 'node:fs';
import path from 'node:path';
import { buildAddon, findCompiler, planBuild } from './compile.mjs';
import { cudaRuntime, findNvcc } from './cuda.mjs';
import { fetchLibTorch } from './fetch-libtorch.mjs';
import { cachedLibTorch, choosePythonTorch, describeLibTorch, OLDEST_VERSION, pythonTorches } from './libtorch.mjs';
import { say } from './progress.mjs';

/**
 * Finds or fetches LibTorch and builds `build/aaunet_torch.node` in the package folder. Returns true where the addon is
 * ready; otherwise says why in one sentence, leaves it in `build/info.json` for the loader to repeat, and returns false.
 */
export async function installAddon({ packageFolder, env = process.env, force = false, again }) {
  const native = path.join(packageFolder, 'native');
  const build = path.join(packageFolder, 'build');
  const addon = path.join(build, 'aaunet_torch.node');
  const infoFile = path.join(build, 'info.json');
  const previous = readInfo(infoFile);
  fs.mkdirSync(build, { recursive: true });
  const giveUp = (sentence) => {
    say(sentence);
    // An addon of older sources or another LibTorch would fail later and less clearly.
    fs.rmSync(addon, { force: true });
    writeJson(infoFile, { error: sentence });
    return false;
  };

  if (env.AAUNET_SKIP_TORCH === '1') {
    if (fs.existsSync(addon)) return true;
    return giveUp(
      `The native part of @aaunet/torch was not built because AAUNET_SKIP_TORCH=1 is set; unset it and ${again}.`,
    );
  }
  if (process.platform !== 'linux') {
    return giveUp(
      `The native part of @aaunet/torch builds on Linux only, not on ${process.platform}; everything that needs no LibTorch works.`,
    );
  }

  const compiler = await findCompiler(env);
  const noCompiler = () =>
    giveUp(
      `@aaunet/torch needs a C++ compiler and none answered (${env.CXX ? `CXX=${env.CXX}` : 'c++, g++ and clang++'}); ` +
        `install one (Debian, Ubuntu: apt install g++) and ${again}.`,
    );
  // Without a compiler an addon that was built earlier from these very sources is as good as ever.
  const builder = compiler ?? previousCompiler(previous);
  if (builder === undefined) return noCompiler();

  const tried = [];
  const torch = (force ? undefined : stillGood(previous, env)) ?? (await obtainLibTorch(env, tried));
  if (torch === undefined) {
    return giveUp(
      `LibTorch could not be had (${tried.join('; ')}): set LIBTORCH to a folder with lib/ and include/ of LibTorch ${OLDEST_VERSION} or later, ` +
        `or install PyTorch (pip install torch --index-url https://download.pytorch.org/whl/cpu), and ${again}; until then everything that needs no LibTorch works.`,
    );
  }
  const kind = `LibTorch ${torch.version} ${torch.cuda ? '(CUDA)' : '(CPU)'}`;

  const cuda = torch.cuda ? await cudaBuild(torch, env) : undefined;
  let plan = planBuild(native, torch, builder, cuda);
  if (plan.units.length === 0)
    return giveUp(`${native} holds no C++ sources: the package is incomplete, install it again.`);
  if (!force && previous?.key === plan.key && fs.existsSync(addon)) {
    say(`the addon for ${kind} in ${torch.libtorch} is up to date`);
    return true;
  }
  if (compiler === undefined) return noCompiler();
  say(`${kind} in ${torch.libtorch}, compiler ${compiler.version}`);
  if (compiler.clang)
    say('clang cannot use the OpenMP of LibTorch: own kernels will run on one thread (g++ avoids this)');
  const begin = Date.now();
  const complain = ({ detail }) => {
    if (detail) process.stderr.write(`${detail.slice(0, 6000)}\n`);
  };
  try {
    await buildAddon(plan, { native, build, compiler, env, force }).catch(async (error) => {
      if (cuda === undefined) throw error;
      complain(error);
      say(`without own CUDA kernels, which could not be built (${error.message}): the device will use LibTorch's`);
      plan = planBuild(native, torch, builder);
      await buildAddon(plan, { native, build, compiler, env, force });
    });
  } catch (error) {
    complain(error);
    return giveUp(
      `The native part of @aaunet/torch could not be built: ${error.message}; a compiler with C++20 is needed ` +
        `(g++ 11 or clang++ 14 or later, this is ${compiler.version}); choose one with CXX and ${again}.`,
    );
  }
  writeJson(infoFile, { ...torch, compiler: compiler.version, builtAt: new Date().toISOString(), key: plan.key });
  say(`built ${path.relative(process.cwd(), addon)} in ${((Date.now() - begin) / 1000).toFixed(0)} s`);
  return true;
}

/** CUDA's compiler and runtime library; undefined, said why, where the kernels for CUDA devices cannot be built. */
async function cudaBuild(torch, env) {
  const nvcc = await findNvcc(env);
  const runtime = cudaRuntime(torch.libtorch, env);
  if (nvcc !== undefined && nvcc.major === runtime?.major) return { ...nvcc, runtime: runtime.file };
  const found = `found ${nvcc?.version ?? 'no nvcc'} and ${runtime ? `a runtime of CUDA ${runtime.major}` : 'no runtime library'}`;
  say(`without own CUDA kernels, for want of nvcc of LibTorch's CUDA (${found}): the device will use LibTorch's`);
  return undefined;
}

function previousCompiler(previous) {
  const version = previous?.compiler;
  return typeof version === 'string' ? { args: [], version, clang: /clang/i.test(version) } : undefined;
}

/** The LibTorch of the last build, as long as it is there and is what the environment asks for. */
export function stillGood(previous, env) {
  if (typeof previous?.libtorch !== 'string') return undefined;
  if (env.LIBTORCH && path.resolve(env.LIBTORCH) !== previous.libtorch) return undefined;
  try {
    const torch = describeLibTorch(previous.libtorch);
    const unwished = (env.AAUNET_CUDA === '1' && !torch.cuda) || (env.AAUNET_CUDA === '0' && torch.cuda);
    return unwished ? undefined : torch;
  } catch {
    return undefined;
  }
}

async function obtainLibTorch(env, tried) {
  if (env.LIBTORCH) {
    // Whoever names a folder wants that one or an explanation, not another one.
    return attempt(tried, 'LIBTORCH: ', () => describeLibTorch(env.LIBTORCH));
  }
  tried.push('LIBTORCH is not set');

  const found = await pythonTorches(env);
  const chosen = choosePythonTorch(found, env.AAUNET_CUDA);
  const inPython = chosen && attempt(tried, 'Python: ', () => describeLibTorch(chosen.folder));
  if (inPython) return inPython;
  if (!chosen) {
    const kind = { 1: ' with CUDA', 0: ' without CUDA' }[env.AAUNET_CUDA] ?? '';
    const had = found.map((torch) => torch.version).join(', ') || 'none';
    tried.push(`no Python torch ${OLDEST_VERSION} or later${kind} (found: ${had})`);
  }

  const cuda = env.AAUNET_CUDA === '1';
  const cached = cachedLibTorch(env, cuda);
  if (fs.existsSync(cached)) {
    const usable = attempt([], '', () => describeLibTorch(cached));
    if (usable) return usable;
  }
  try {
    return await fetchLibTorch({ cuda, env, tried });
  } catch (error) {
    tried.push(`the cache cannot be written: ${error.message}`);
    return undefined;
  }
}

function attempt(tried, prefix, action) {
  try {
    return action();
  } catch (error) {
    tried.push(`${prefix}${error.message}`);
    return undefined;
  }
}

function readInfo(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

function writeJson(file, value) {
  fs.writeFileSync(`${file}.tmp`, `${JSON.stringify(value, null, 2)}\n`);
  fs.renameSync(`${file}.tmp`, file);
}
