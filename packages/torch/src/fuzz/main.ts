// Calls every public ATen operator with random arguments in child processes and prints those that end the process:
//   node dist/fuzz/main.js [attempts] [first attempt]
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { schemas } from '../operators.js';
import { manualSeed } from '../runtime.js';
import { publicOperators, randomCall, randomFrom, seedOf } from './random-call.js';

const HANG_MS = 8_000;
const MALLOC_CHECKS = '/usr/lib/x86_64-linux-gnu/libc_malloc_debug.so.0';

const operators = publicOperators(schemas());

/** In the child: calls operators from number `start` on and notes in the file `progress` where it is. */
function work(start: number, end: number, progress: string, attempts: number, first: number): void {
  const file = openSync(progress, 'w');
  let accepted = 0;
  for (let index = start; index < end; index++) {
    const schema = operators[index]!;
    for (let attempt = first; attempt < first + attempts; attempt++) {
      writeSync(file, `${String(index).padStart(8)} ${String(attempt).padStart(8)}`, 0);
      const seed = seedOf(schema, attempt);
      manualSeed(seed);
      if (randomCall(schema, randomFrom(seed))) accepted += 1;
    }
  }
  closeSync(file);
  console.log(`accepted ${accepted}`);
}

interface End {
  how: string;
  index: number;
  attempt: number;
  message: string;
}

function run(start: number, end: number, attempts: number, first: number): Promise<End | undefined> {
  const folder = mkdtempSync(path.join(tmpdir(), 'aaunet-fuzz-'));
  const progress = path.join(folder, 'progress');
  const where = (): string => (existsSync(progress) ? readFileSync(progress, 'utf8') : '');
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      [fileURLToPath(import.meta.url), 'work', String(start), String(end), progress, String(attempts), String(first)],
      {
        stdio: ['ignore', 'inherit', 'pipe'],
        env: {
          ...process.env,
          OMP_NUM_THREADS: '1',
          ...(existsSync(MALLOC_CHECKS) && { LD_PRELOAD: MALLOC_CHECKS, GLIBC_TUNABLES: 'glibc.malloc.check=3' }),
        },
      },
    );
    let message = '';
    child.stderr.on('data', (text: Buffer) => (message = (message + text.toString()).slice(-2000)));
    let before = '';
    const watch = setInterval(() => {
      const now = where();
      if (now === before) child.kill('SIGKILL');
      before = now;
    }, HANG_MS);
    child.on('close', (code, signal) => {
      clearInterval(watch);
      const [index = 0, attempt = 0] = where().trim().split(/\s+/).map(Number);
      rmSync(folder, { recursive: true });
      resolve(code === 0 ? undefined : { how: signal ?? `exit ${String(code)}`, index, attempt, message });
    });
  });
}

async function fuzz(attempts: number, first: number): Promise<void> {
  for (let start = 0; start < operators.length;) {
    const end = await run(start, operators.length, attempts, first);
    if (!end) break;
    const { name, overload } = operators[end.index]!;
    const alone = await run(end.index, end.index + 1, 1, end.attempt);
    const last = end.message.trim().split('\n').at(-1) ?? '';
    console.log(
      `${end.how} ${name}.${overload} #${end.attempt} ${alone ? 'alone too' : 'NOT ALONE'} ${last.slice(0, 120)}`,
    );
    start = end.index + 1;
  }
  console.log(`${operators.length} operators`);
}

const [mode = '10', ...rest] = process.argv.slice(2);
if (mode === 'work') {
  const [start = '', end = '', progress = '', attempts = '', first = ''] = rest;
  work(Number(start), Number(end), progress, Number(attempts), Number(first));
} else await fuzz(Number(mode), Number(rest[0] ?? 0));
