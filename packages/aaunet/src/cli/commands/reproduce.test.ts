import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { writeTinyDataset } from '../../testing/tiny-dataset.js';
import { runCli } from '../program.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-cli-reproduce-'));
  await writeTinyDataset(join(folder, 'data'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('aaunet reproduce', { timeout: 120_000 }, () => {
  it('stopped by Ctrl-C, says the command that continues with the same networks', async () => {
    const [data, out, paper] = [join(folder, 'data'), join(folder, 'my comparison'), join(folder, 'paper.json')];
    await writeFile(paper, '{}');
    let said = '';
    const stderr = {
      write: (text: string) => {
        if (text.startsWith('[1/2]')) process.emit('SIGINT');
        said += text;
      },
    };
    const options = ['--models', 'resnet18-unet,rsu', '--paper', paper, '--size', '64'];
    const code = await runCli(['reproduce', data, out, ...options], { stdout: { write: () => true }, stderr });
    expect(code).toBe(1);
    const continues = / continues: (.*)\n$/.exec(said)?.[1];
    expect(continues).toMatch(`aaunet reproduce ${data} '${out}' `);
    expect(continues).toContain(' --models resnet18-unet,rsu');
    expect(continues).toContain(` --paper ${paper}`);
    expect(continues).toContain(' --size 64');
  });
});
