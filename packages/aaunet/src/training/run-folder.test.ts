import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { resolveTrainConfig } from './config.js';
import { readRunConfig } from './run-folder.js';

let run: string;
beforeAll(async () => {
  run = await mkdtemp(join(tmpdir(), 'aaunet-run-folder-'));
});
afterAll(async () => {
  await rm(run, { recursive: true, force: true });
});

describe('readRunConfig', () => {
  it('says that a folder is none of a run', async () => {
    await expect(readRunConfig(join(run, 'nosuch'))).rejects.toThrow(
      /^Expected a run folder, as "aaunet train" writes it, at .*nosuch, but it has no config\.json\.$/,
    );
  });

  it('says of runs of earlier versions that their slices were stretched, and refuses what is no configuration', async () => {
    const { fit, ...earlier } = resolveTrainConfig({ data: 'phantoms' });
    expect(fit).toBe('pad');
    await writeFile(join(run, 'config.json'), JSON.stringify(earlier));
    expect(await readRunConfig(run)).toEqual({ ...earlier, fit: 'stretch' });
    await writeFile(join(run, 'config.json'), JSON.stringify({ ...earlier, fit }));
    expect(await readRunConfig(run)).toEqual({ ...earlier, fit: 'pad' });
    for (const content of ['[]', '7', 'null', '{"fit": "crop"}']) {
      await writeFile(join(run, 'config.json'), content);
      await expect(readRunConfig(run)).rejects.toThrow(/config\.json is not valid/);
    }
  });
});
