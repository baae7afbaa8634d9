import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeJsonAtomic } from './atomic.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-atomic-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

it('writes NaN as null, which is what JSON can say', async () => {
  await writeJsonAtomic(join(folder, 'x.json'), { dice: NaN });
  expect(JSON.parse(await readFile(join(folder, 'x.json'), 'utf8'))).toEqual({ dice: null });
  expect(await readdir(folder)).toEqual(['x.json']);
});
