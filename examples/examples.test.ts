import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// The examples run as their readers would run them, after `npm run build`.

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-examples-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(name: string, ...args: string[]): Promise<string> {
  const script = fileURLToPath(new URL(`dist/${name}.js`, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args]);
  return stdout;
}

describe('examples', () => {
  it('train-and-predict goes the whole way, and read-a-study shows what it made', async () => {
    const output = await run('train-and-predict', folder, '4');
    expect(output).toMatch(/pooled Dice, mean over [1-7] types: 0\.\d{3}\noutlined: .+\n$/);
    const [result] = await readdir(join(folder, 'prediction'), { withFileTypes: true });
    expect(result).toBeDefined();

    const [unseen] = /outlined: .*/.exec(output)!;
    const study = join(folder, 'phantoms/dicom', unseen.split('/').at(-1)!);
    const sheet = join(folder, 'sheet.png');
    expect(await run('read-a-study', study, sheet)).toMatch(/^\d+ slices of 64x64 pixels\nspacing .* mm, gantry tilt /);
    expect((await readFile(sheet)).subarray(1, 4).toString()).toBe('PNG');
  }, 180_000);

  it('own-network learns its slice, and holds as many tensors late as early', async () => {
    const lines = (await run('own-network', '40')).trim().split('\n');
    const [first, middle, last] = lines.map((line) => /loss ([\d.]+), (\d+) tensors/.exec(line)!.slice(1).map(Number));
    expect(last![0]).toBeLessThan(first![0]! / 3);
    expect(last![1]).toBe(middle![1]);
  }, 180_000);
});
