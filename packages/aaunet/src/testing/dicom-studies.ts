import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { writeDicomSeries } from '@aaunet/imaging';

import { TINY_AFFINE, tinyScan } from './tiny-dataset.js';

/** Writes `count` studies of one tiny head CT series each, in folders S00, S01 and so on. @returns the folder of all */
export async function writeStudies(folder: string, count: number): Promise<string> {
  for (let index = 0; index < count; index++) {
    const name = `S${String(index).padStart(2, '0')}`;
    await mkdir(join(folder, name), { recursive: true });
    const { scan } = tinyScan(name, 32);
    for (const [k, bytes] of writeDicomSeries({ ...scan, affine: TINY_AFFINE }, { seed: name }).entries()) {
      await writeFile(join(folder, name, `${k}.dcm`), bytes);
    }
  }
  return folder;
}

/** Cuts every file of a study short, as a broken transfer does. */
export async function corruptStudy(study: string): Promise<void> {
  for (const file of await readdir(study)) {
    const bytes = await readFile(join(study, file));
    await writeFile(join(study, file), bytes.subarray(0, 500));
  }
}
