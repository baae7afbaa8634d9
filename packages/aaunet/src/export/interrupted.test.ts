import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { writeUntrainedRun } from '../testing/untrained-run.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const TIMEOUT = 180_000;

let folder: string;
let out: string;
beforeAll(async () => {
  // The program is what the build made of these sources; up to date, this takes a second.
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b'], { cwd: root });
  folder = await mkdtemp(join(tmpdir(), 'aaunet-interrupted-'));
  out = join(folder, 'out');
  await writeUntrainedRun(join(folder, 'run'));
}, TIMEOUT);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stderr: string;
}

/** Exports in a process of its own, and lets `end` do something to it once the file is being written. */
function exportWith(end?: (kill: (signal: 'SIGKILL' | 'SIGTERM') => void) => void, limit = ''): Promise<Ended> {
  const command = `${limit} exec "$0" "$@"`;
  const program = join(root, 'packages/aaunet/bin/aaunet.js');
  const args = ['-c', command, process.execPath, program, 'export', 'run', '--out', 'out/model.onnx'];
  return new Promise((resolve, reject) => {
    const child = spawn('/bin/sh', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    let [stderr, isOver] = ['', false];
    child.stderr.on('data', (chunk) => (stderr += String(chunk)));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      isOver = true;
      resolve({ code, signal, stderr });
    });
    const watch = async (): Promise<void> => {
      while (!isOver && !(await filesOf(out)).some((name) => name.endsWith('.tmp'))) await setTimeout(2);
      end?.((signal) => child.kill(signal));
    };
    if (end) watch().catch(reject);
  });
}

const filesOf = (path: string): Promise<string[]> => readdir(path).catch(() => []);

describe('aaunet export', { timeout: TIMEOUT }, () => {
  it('killed while it writes, leaves no file of the name that was asked for', async () => {
    const ended = await exportWith((kill) => {
      kill('SIGKILL');
    });
    expect(ended.signal).toBe('SIGKILL');
    expect((await filesOf(out)).filter((name) => !name.endsWith('.tmp'))).toEqual([]);
    await rm(out, { recursive: true });
  });

  it('stopped while it writes, leaves nothing', async () => {
    const ended = await exportWith((kill) => {
      kill('SIGTERM');
    });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain('Stopped by Ctrl-C.');
    expect(await filesOf(out)).toEqual([]);
  });

  it('leaves an earlier file as it was where the new one does not fit, and says so in a sentence', async () => {
    expect(await exportWith()).toMatchObject({ code: 0 });
    const before = await readFile(join(out, 'model.onnx'));
    expect(before.length).toBeGreaterThan(10e6);
    // Blocks of 512 or 1024 bytes: files end at one or two megabytes.
    const ended = await exportWith(undefined, 'ulimit -f 2000 &&');
    expect(ended).toMatchObject({ code: 1, signal: null });
    expect(ended.stderr).toMatch(/^error: Cannot use out\/model\.onnx: a file of this size is not allowed there\.$/m);
    expect(await filesOf(out)).toEqual(['model.onnx']);
    expect((await readFile(join(out, 'model.onnx'))).equals(before)).toBe(true);
  });
});
