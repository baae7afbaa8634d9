import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { writeNiftiFile } from '@aaunet/imaging/node';
import { expect, it } from 'vitest';

import { TINY_AFFINE } from '../testing/tiny-dataset.js';
import { formatInspection, inspect } from './inspect.js';

it.each([
  [1, '1 slice of 4 x 3 pixels'],
  [2, '2 slices of 4 x 3 pixels'],
])('an inspection counts %d in good English', async (slices, expected) => {
  const folder = await mkdtemp(join(tmpdir(), 'aaunet-inspect-'));
  const path = join(folder, 'scan.nii');
  await writeNiftiFile(path, { data: new Int16Array(12 * slices), slices, rows: 4, columns: 3, affine: TINY_AFFINE });
  expect(formatInspection(await inspect(path))).toContain(` ${expected}`);
  await rm(folder, { recursive: true });
});
