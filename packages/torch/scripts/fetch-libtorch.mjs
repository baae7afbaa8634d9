import fs from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { cachedLibTorch, describeLibTorch, FETCHED_VERSION } from './libtorch.mjs';
import { lastLine, megabytes, run, say, throttled } from './progress.mjs';
import { unpack } from './unpack.mjs';

const CPU_INDEX = 'https://download.pytorch.org/whl/cpu';
const ZIP = `https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-${FETCHED_VERSION}%2Bcpu.zip`;
const MAX_DOWNLOAD = 4e9;
const STALLED_MS = 30_000;
const OFFLINE = /NewConnectionError|ConnectTimeout|Max retries exceeded|name resolution|ProxyError|SSLError|timed out/i;

/**
 * The ways of asking pip for a torch wheel, in order: as the user configured pip, then PyTorch's own index; each for this
 * Python and then for one that every release of torch supports, because LibTorch inside is the same.
 */
export function pipAttempts(cuda) {
  const otherPython = ['--python-version', '3.11', '--only-binary=:all:'];
  const common = [
    '--disable-pip-version-check',
    '--no-input',
    '--progress-bar',
    'off',
    '--retries',
    '0',
    '--timeout',
    '15',
  ];
  // A CUDA wheel needs the nvidia wheels it depends on; the CPU wheel holds everything itself.
  const wanted = cuda ? [`torch==${FETCHED_VERSION}`] : ['--no-deps', `torch==${FETCHED_VERSION}+cpu`];
  const sources = [{ name: 'as pip is configured', args: [] }];
  if (!cuda) sources.push({ name: CPU_INDEX, args: ['--index-url', CPU_INDEX] });
  return sources.flatMap(({ name, args }) => [
    { source: name, args: [...common, ...args, ...wanted] },
    { source: name, args: [...common, ...args, ...otherPython, ...wanted] },
  ]);
}

/**
 * Fetches LibTorch into the cache and describes it as `describeLibTorch` does. What failed on the way is appended to
 * `tried`; undefined where nothing worked.
 */
export async function fetchLibTorch({ cuda, env, tried }) {
  const final = path.dirname(cachedLibTorch(env, cuda));
  const cache = path.dirname(final);
  fs.mkdirSync(cache, { recursive: true });
  removeAbandoned(cache);
  const partial = fs.mkdtempSync(path.join(cache, `.partial-${process.pid}-`));
  try {
    const archives =
      (await fetchWheels(partial, cuda, env, tried)) ?? (cuda ? undefined : await fetchZip(partial, tried));
    if (archives === undefined) return undefined;
    const unpacked = path.join(partial, 'unpacked');
    fs.mkdirSync(unpacked);
    for (const archive of archives) {
      say(`unpacking ${path.basename(archive)} (${megabytes(fs.statSync(archive).size)})`);
      const files = await unpack(archive, unpacked, say);
      say(`unpacked ${files} files`);
    }
    describeLibTorch(path.join(unpacked, 'torch'));
    return publish(unpacked, final);
  } catch (error) {
    tried.push(`unpacking failed: ${error.message}`);
    return undefined;
  } finally {
    fs.rmSync(partial, { recursive: true, force: true });
  }
}

function publish(unpacked, final) {
  try {
    fs.renameSync(unpacked, final);
  } catch (error) {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    // Either another install finished first, or what lies there is the broken copy that made us fetch again.
    try {
      return describeLibTorch(path.join(final, 'torch'));
    } catch {
      fs.rmSync(final, { recursive: true, force: true });
      fs.renameSync(unpacked, final);
    }
  }
  return describeLibTorch(path.join(final, 'torch'));
}

/** Removes what installs that were killed left behind. */
function removeAbandoned(cache) {
  for (const name of fs.readdirSync(cache)) {
    const pid = /^\.partial-(\d+)-/.exec(name)?.[1];
    if (pid === undefined) continue;
    try {
      process.kill(Number(pid), 0);
    } catch (error) {
      if (error.code === 'ESRCH') fs.rmSync(path.join(cache, name), { recursive: true, force: true });
    }
  }
}

async function findPip(env) {
  for (const [command, ...prefix] of [['python3', '-m', 'pip'], ['pip3'], ['python', '-m', 'pip'], ['pip']]) {
    const answer = await run(command, [...prefix, '--version'], { timeoutMs: 20_000, env });
    if (answer.code === 0) return { command, prefix };
  }
  return undefined;
}

async function fetchWheels(partial, cuda, env, tried) {
  const pip = await findPip(env);
  if (pip === undefined) {
    tried.push('pip is not installed');
    return undefined;
  }
  const unreachable = new Set();
  const failures = new Map();
  for (const { source, args } of pipAttempts(cuda)) {
    if (unreachable.has(source)) continue;
    const wheels = fs.mkdtempSync(path.join(partial, 'wheels-'));
    // pip downloads into its temporary folder first: one of ours shows the progress and is removed with the rest.
    const temporary = fs.mkdtempSync(path.join(partial, 'pip-'));
    say(`pip download ${args.at(-1)} (${source})`);
    const progress = throttled(say, 5000);
    const timer = setInterval(() => progress(() => `downloading: ${megabytes(folderSize(partial))}`), 1000);
    const answer = await run(pip.command, [...pip.prefix, 'download', ...args, '--no-cache-dir', '--dest', wheels], {
      timeoutMs: 3_600_000,
      env: { ...env, TMPDIR: temporary },
    });
    clearInterval(timer);
    if (answer.code === 0) {
      const found = wheelsToUnpack(fs.readdirSync(wheels));
      if (found.length > 0) return found.map((name) => path.join(wheels, name));
    }
    if (OFFLINE.test(answer.stderr)) unreachable.add(source);
    failures.set(source, lastLine(answer.stderr));
    fs.rmSync(wheels, { recursive: true, force: true });
    fs.rmSync(temporary, { recursive: true, force: true });
  }
  for (const [source, reason] of failures) tried.push(`pip download (${source}): ${reason}`);
  return undefined;
}

/** The wheels among downloaded files that hold libraries of LibTorch, torch first; none where torch is missing. */
export function wheelsToUnpack(names) {
  const torch = names.filter((name) => /^torch-[^/]*\.whl$/.test(name));
  const nvidia = names.filter((name) => /^nvidia_[^/]*\.whl$/.test(name));
  return torch.length === 1 ? [...torch, ...nvidia.sort()] : [];
}

function folderSize(folder) {
  let total = 0;
  for (const entry of fs.readdirSync(folder, { recursive: true, withFileTypes: true })) {
    // A file may be renamed between the listing and here.
    if (entry.isFile())
      total += fs.statSync(path.join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return total;
}

async function fetchZip(partial, tried) {
  if (process.arch !== 'x64') {
    tried.push(`PyTorch publishes no LibTorch zip for ${process.arch}`);
    return undefined;
  }
  const target = path.join(partial, 'libtorch.zip');
  const abort = new AbortController();
  let watchdog = setTimeout(() => abort.abort(), STALLED_MS);
  say(`downloading ${ZIP}`);
  try {
    const response = await fetch(ZIP, { signal: abort.signal });
    if (!response.ok || response.body === null) throw new Error(`the server answered ${response.status}`);
    const expected = Number(response.headers.get('content-length') ?? Number.NaN);
    if (expected > MAX_DOWNLOAD) throw new Error(`the server offers ${megabytes(expected)}, too much for a LibTorch`);
    const progress = throttled(say);
    let received = 0;
    const counted = async function* (chunks) {
      for await (const chunk of chunks) {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), STALLED_MS);
        received += chunk.length;
        if (received > MAX_DOWNLOAD) throw new Error(`more than ${megabytes(MAX_DOWNLOAD)} arrived`);
        progress(() => `downloading: ${megabytes(received)}${expected > 0 ? ` of ${megabytes(expected)}` : ''}`);
        yield chunk;
      }
    };
    await pipeline(Readable.fromWeb(response.body), counted, fs.createWriteStream(target, { flags: 'wx' }));
    if (expected > 0 && received !== expected) throw new Error(`${received} of ${expected} bytes arrived`);
    return [target];
  } catch (error) {
    const reason = abort.signal.aborted
      ? `no data for ${STALLED_MS / 1000} s`
      : (error.cause?.message ?? error.message);
    tried.push(`${ZIP}: ${reason}`);
    fs.rmSync(target, { force: true });
    return undefined;
  } finally {
    clearTimeout(watchdog);
  }
}
