import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Affine, Volume } from '@aaunet/imaging';
import { writeNiftiFile } from '@aaunet/imaging/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Dataset, imagePath, labelPath, readDataset, writeDatasetFile } from './dataset.js';
import { HandlePool } from './handle-pool.js';
import { openSliceCache } from './slice-cache.js';

const canonical: Affine = [
  [-1, 0, 0, 0],
  [0, -1, 0, 0],
  [0, 0, 5, 0],
  [0, 0, 0, 1],
];
/** Slices from superior to inferior: the cache must turn them round. */
const downwards: Affine = [canonical[0], canonical[1], [0, 0, -5, 0], canonical[3]];
const SIDE = 8;
const SLICES = 4;

let folder: string;
let dataset: Dataset;

async function writeCase(name: string, affine: Affine): Promise<void> {
  const image: Volume<Int16Array> = {
    data: Int16Array.from(
      { length: SLICES * SIDE * SIDE },
      (_, index) => 100 * Math.floor(index / SIDE ** 2) + (index % 64),
    ),
    slices: SLICES,
    rows: SIDE,
    columns: SIDE,
    affine,
  };
  const labels = new Uint8Array(image.data.length);
  labels.fill(3, SIDE ** 2, SIDE ** 2 + 10);
  await writeNiftiFile(imagePath(folder, name), image);
  await writeNiftiFile(labelPath(folder, name), { ...image, data: labels });
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-cache-'));
  await mkdir(join(folder, 'imagesTr'));
  await mkdir(join(folder, 'labelsTr'));
  await writeCase('a', canonical);
  await writeCase('b', downwards);
  await writeDatasetFile(folder, { name: 'x', patients: { a: 'a', b: 'b' }, annotated: ['SAH'] });
  dataset = await readDataset(folder);
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('openSliceCache', () => {
  it('reads triples clamped at the ends, inferior to superior, into a part of a larger buffer', async () => {
    const cache = await openSliceCache(dataset, { size: SIDE });
    const batch = new Int16Array(2 * 3 * SIDE ** 2);
    const into = batch.subarray(3 * SIDE ** 2);
    const firstPixels = async (name: string, k: number) => {
      await cache.readTriple(name, k, into);
      return [0, 1, 2].map((plane) => into[plane * SIDE ** 2]);
    };
    expect(await firstPixels('a', 0)).toEqual([0, 0, 100]);
    expect(await firstPixels('a', 1)).toEqual([0, 100, 200]);
    expect(await firstPixels('a', 3)).toEqual([200, 300, 300]);
    expect(await firstPixels('b', 0)).toEqual([300, 300, 200]);
    expect(into[1]).toBe(301);
    expect(batch.subarray(0, 3 * SIDE ** 2).every((value) => value === 0)).toBe(true);
    await cache.close();
  });

  it('reads labels that belong to the slices and counts them', async () => {
    const cache = await openSliceCache(dataset, { size: SIDE });
    const into = new Uint8Array(SIDE ** 2);
    await cache.readLabels('b', 2, into);
    expect(into.filter((label) => label === 3)).toHaveLength(10);
    expect(cache.cases.map(({ counts }) => counts.map((slice) => slice[3]))).toEqual([
      [0, 10, 0, 0],
      [0, 0, 10, 0],
    ]);
    await cache.close();
  });

  it('resizes in-plane and counts at the new size', async () => {
    const cache = await openSliceCache(dataset, { size: 4 });
    const into = new Int16Array(3 * 16);
    await cache.readTriple('a', 1, into);
    // The mean of pixels 0, 1, 8, 9 of slice 1 is 104.5, of two whole numbers as near the even one.
    expect(into[16]).toBe(104);
    expect(cache.cases[0]!.counts[1]!.reduce((sum, count) => sum + count)).toBe(16);
    await cache.close();
  });

  it('is made once, and anew when the data or the size change', async () => {
    const prepared: string[] = [];
    const options = { size: SIDE, onProgress: (_: number, __: number, name: string) => prepared.push(name) };
    await openSliceCache(dataset, options);
    await openSliceCache(dataset, options);
    expect(prepared).toEqual(['a', 'b']);
    await utimes(imagePath(folder, 'a'), 1, 1);
    await openSliceCache(dataset, options);
    expect(prepared).toHaveLength(4);
    expect(await readdir(join(folder, '.aaunet-cache'))).toHaveLength(2);
  });

  it('continues after an interruption without doing finished cases again', async () => {
    const stop = new AbortController();
    const interrupted = openSliceCache(dataset, {
      size: SIDE,
      signal: stop.signal,
      onProgress: () => {
        stop.abort();
      },
    });
    await expect(interrupted).rejects.toThrow('abort');
    const [key] = await readdir(join(folder, '.aaunet-cache'));
    const path = join(folder, '.aaunet-cache', key!, 'a.i16');
    const before = (await stat(path)).mtimeMs;
    const cache = await openSliceCache(dataset, { size: SIDE });
    expect((await stat(path)).mtimeMs).toBe(before);
    expect(cache.cases).toHaveLength(2);
  });

  it('refuses bad slices, buffers, cases and a damaged cache in one sentence', async () => {
    const cache = await openSliceCache(dataset, { size: SIDE });
    const into = new Int16Array(3 * SIDE ** 2);
    await expect(cache.readTriple('a', 4, into)).rejects.toThrow('slice from 0 to 3');
    await expect(cache.readTriple('../a', 0, into)).rejects.toThrow('case of the data set');
    await expect(cache.readTriple('a', 0, into.subarray(1))).rejects.toThrow('room for 192');
    await writeFile(join(cache.folder, 'a.i16'), 'x');
    await expect(cache.readTriple('a', 2, into)).rejects.toThrow('start again');
    await cache.close();
  });

  it('refuses labels that lie elsewhere than their image, and turns round those stored in another order', async () => {
    const plain = await openSliceCache(dataset, { size: SIDE });
    const counts = plain.cases[0]!.counts;
    const data = new Uint8Array(SLICES * SIDE * SIDE);
    const geometry = { data, slices: SLICES, rows: SIDE, columns: SIDE };
    // The same marks, stored from superior to inferior.
    data.fill(3, 2 * SIDE ** 2, 2 * SIDE ** 2 + 10);
    const turned: Affine = [canonical[0], canonical[1], [0, 0, -5, 15], canonical[3]];
    await writeNiftiFile(labelPath(folder, 'a'), { ...geometry, affine: turned });
    expect((await openSliceCache(dataset, { size: SIDE })).cases[0]!.counts).toEqual(counts);
    const elsewhere: Affine = [[-1, 0, 0, 30], canonical[1], canonical[2], canonical[3]];
    await writeNiftiFile(labelPath(folder, 'a'), { ...geometry, affine: elsewhere });
    await expect(openSliceCache(dataset, { size: SIDE })).rejects.toThrow(
      /labelsTr.a.*Expected a mask that lies where its image does .* found corners 30\.0 mm apart/,
    );
  });

  it('refuses a label that dataset.json does not list, which would count as background, until it is listed', async () => {
    const path = join(folder, 'dataset.json');
    const file = JSON.parse(await readFile(path, 'utf8')) as object;
    const withLabels = async (labels: object): Promise<Dataset> => {
      await writeFile(path, JSON.stringify({ ...file, labels, annotated: ['ICH'] }));
      return readDataset(folder);
    };
    const short = await withLabels({ background: 0, ICH: 1, SDH: 2 });
    await expect(openSliceCache(short, { size: SIDE })).rejects.toThrow(
      /labelsTr.a\.nii\.gz: expected the labels that dataset\.json lists \(0, 1, 2\), found 3; list it there/,
    );
    const cache = await openSliceCache(await withLabels({ background: 0, ICH: 1, SAH: 3 }), { size: SIDE });
    expect(cache.cases).toHaveLength(2);
    await cache.close();
  });

  it('names the case whose label map does not fit its image', async () => {
    const data = new Uint8Array(SIDE * SIDE);
    await writeNiftiFile(labelPath(folder, 'a'), { data, slices: 1, rows: SIDE, columns: SIDE, affine: canonical });
    await expect(openSliceCache(dataset, { size: SIDE })).rejects.toThrow(
      /labelsTr.a.*Expected a mask of 8 x 8 x 4 voxels like its image, found 8 x 8 x 1/,
    );
  });
});

describe('HandlePool', () => {
  it('reads right while more files are in use than may stay open', async () => {
    const pool = new HandlePool(2);
    const paths = Array.from({ length: 8 }, (_, index) => join(folder, `f${index}`));
    await Promise.all(paths.map((path, index) => writeFile(path, Uint8Array.of(index))));
    const reads = [...paths, ...paths].map((path) =>
      pool.use(path, async (handle) => {
        const bytes = new Uint8Array(1);
        await handle.read(bytes, 0, 1, 0);
        return bytes[0];
      }),
    );
    expect(await Promise.all(reads)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7]);
    await pool.close();
  });

  it('tries again after a file could not be opened', async () => {
    const pool = new HandlePool();
    const path = join(folder, 'late');
    await expect(pool.use(path, () => Promise.resolve(1))).rejects.toThrow('ENOENT');
    await writeFile(path, 'x');
    expect(await pool.use(path, () => Promise.resolve(1))).toBe(1);
    await pool.close();
  });

  it('pads slices that are not square, so that every true voxel is counted once', async () => {
    const image: Volume<Int16Array> = {
      ...{ data: new Int16Array(SIDE * 5).fill(40), slices: 1, rows: SIDE, columns: 5, affine: canonical },
    };
    const labels = Uint8Array.from(image.data, (_, index) => ((index * 2654435761) >>> 31 === 0 ? 3 : 0));
    await writeNiftiFile(imagePath(folder, 'a'), image);
    await writeNiftiFile(labelPath(folder, 'a'), { ...image, data: labels });
    const wanted = labels.filter((label) => label === 3).length;
    const padded = await openSliceCache(dataset, { size: SIDE });
    expect(padded.cases[0]!.counts[0]![3]).toBe(wanted);
    const stretched = await openSliceCache(dataset, { size: SIDE, fit: 'stretch' });
    expect(stretched.cases[0]!.counts[0]![3]).toBeGreaterThan(wanted);
    expect(stretched.folder).not.toBe(padded.folder);
    await Promise.all([padded.close(), stretched.close()]);
  });
});
