import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../../../', import.meta.url));
/** More than there are threads. */
const CASES = 12;

let folder: string;
beforeAll(async () => {
  // The program is what the build made of these sources; up to date, this takes a second.
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b'], { cwd: root });
  folder = await mkdtemp(join(tmpdir(), 'aaunet-cli-synth-'));
}, 120_000);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Runs `aaunet synth`; with `stop`, Ctrl-C comes after the first case. */
async function synth(out: string, cases: number, stop = false): Promise<{ code: number | null; stderr: string }> {
  const args = [join(root, 'packages/aaunet/bin/aaunet.js'), 'synth', out, '--cases', String(cases), '--size', '32'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += String(chunk)));
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const labels = join(out, 'labelsTr');
  if (stop) {
    while (!existsSync(labels) || !readdirSync(labels).some((name) => /^[^.]/.test(name))) await setTimeout(5);
    child.kill('SIGINT');
  }
  return { code: await ended, stderr };
}

describe('aaunet synth', { timeout: 300_000 }, () => {
  it('stopped by Ctrl-C, ends between cases, says what to do, and may be started again', async () => {
    const out = join(folder, 'phantoms');
    const stopped = await synth(out, CASES, true);
    expect(stopped.code).toBe(1);
    expect(stopped.stderr).toMatch(/\nStopped before all cases were made; the same command starts again\.\n$/);
    const [images, labels] = [readdirSync(join(out, 'imagesTr')), readdirSync(join(out, 'labelsTr'))];
    expect(labels.length).toBeLessThan(CASES);
    expect(images.map((name) => name.replace('_0000', ''))).toEqual(labels);
    expect(existsSync(join(out, 'dataset.json'))).toBe(false);

    expect((await synth(out, 1)).code).toBe(0);
    expect(readdirSync(join(out, 'labelsTr'))).toHaveLength(1);
    expect(existsSync(join(out, 'dataset.json'))).toBe(true);
  });
});
