import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { LABELS, type Affine, type Volume } from '@aaunet/imaging';
import { writeNiftiFile } from '@aaunet/imaging/node';

import { imagePath, labelPath, writeDatasetFile } from '../datasets/dataset.js';
import { randomStream } from '../random.js';

/** Radiological display, 5 mm slices: what the readers call canonical. */
export const TINY_AFFINE: Affine = [
  [-4, 0, 0, 126],
  [0, -4, 0, 126],
  [0, 0, 5, -10],
  [0, 0, 0, 1],
];

const SLICES = 3;

/** A head-like scan for tests: bone around brain, in every slice a square of each lesion type, placed by `name`. */
export function tinyScan(name: string, size: number): { scan: Volume<Int16Array>; labels: Volume<Uint8Array> } {
  const random = randomStream(name);
  const data = new Int16Array(SLICES * size * size).fill(-1000);
  const marks = new Uint8Array(data.length);
  const side = Math.floor(size / 8);
  for (let k = 0; k < SLICES; k++) {
    const places = random.shuffle(Array.from({ length: 9 }, (_, place) => place));
    for (let row = 4; row < size - 4; row++)
      for (let column = 4; column < size - 4; column++) {
        const edge = Math.min(row, column, size - 1 - row, size - 1 - column);
        data[(k * size + row) * size + column] = edge < 6 ? 900 : 25 + random.integer(20);
      }
    for (const [i, { id }] of LABELS.entries()) {
      const top = Math.floor(size / 4) + Math.floor(places[i]! / 3) * (side + 2);
      const left = Math.floor(size / 4) + (places[i]! % 3) * (side + 2);
      for (let row = top; row < top + side; row++)
        for (let column = left; column < left + side; column++) {
          marks[(k * size + row) * size + column] = id;
          data[(k * size + row) * size + column] = id === 6 ? -900 : 50 + 10 * id;
        }
    }
  }
  const geometry = { slices: SLICES, rows: size, columns: size, affine: TINY_AFFINE };
  return { scan: { ...geometry, data }, labels: { ...geometry, data: marks } };
}

/** Writes a data set of six patients with one tiny scan each, for tests. */
export async function writeTinyDataset(folder: string, size = 64): Promise<void> {
  mkdirSync(join(folder, 'imagesTr'), { recursive: true });
  mkdirSync(join(folder, 'labelsTr'), { recursive: true });
  const names = Array.from({ length: 6 }, (_, i) => `CASE_${i}`);
  for (const name of names) {
    const { scan, labels } = tinyScan(name, size);
    await writeNiftiFile(imagePath(folder, name), scan);
    await writeNiftiFile(labelPath(folder, name), labels);
  }
  await writeDatasetFile(folder, {
    name: 'tiny',
    patients: Object.fromEntries(names.map((name) => [name, name])),
    annotated: LABELS.map(({ name }) => name),
    synthetic: true,
  });
}
