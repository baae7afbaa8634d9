import { createHash } from 'node:crypto';
import { access, constants, mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CLASS_COUNT, type SquareFit, SquarePlane, type Volume } from '@aaunet/imaging';
import { z } from 'zod';
import { writeFileAtomic, writeJsonAtomic } from '../atomic.js';
import { readJson } from '../schema-errors.js';
import type { Dataset } from './dataset.js';
import { HandlePool } from './handle-pool.js';
import { readCase } from './read-case.js';

/** Changes when the preprocessing does, so that older caches are not used. */
const CACHE_FORMAT = 'aaunet-cache-2';

const indexSchema = z.strictObject({
  format: z.literal(CACHE_FORMAT),
  size: z.int().positive(),
  cases: z.array(
    z.strictObject({
      name: z.string(),
      /** Pixels of every label (index = label id) in every slice. */
      counts: z
        .array(
          z
            .array(z.int().nonnegative())
            .min(CLASS_COUNT)
            .max(CLASS_COUNT + 1),
        )
        .min(1),
    }),
  ),
});

type CacheIndex = z.output<typeof indexSchema>;

/** A case of the cache: its name and for every slice the pixels of every label at the cache's size. */
export interface CachedCase {
  readonly name: string;
  readonly counts: readonly (readonly number[])[];
}

export interface SliceCacheOptions {
  /** In-plane size in pixels to which slices are resized. */
  readonly size: number;
  /** How slices that are not square come into it; "pad" where absent. */
  readonly fit?: SquareFit | undefined;
  /** Where to put the cache if the data folder cannot be written to. */
  readonly fallback?: string | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

async function fingerprint(dataset: Dataset, size: number, fit: SquareFit): Promise<string> {
  const hash = createHash('sha256').update(`${CACHE_FORMAT} ${size} ${fit} ${dataset.labels.join()}`);
  for (const { name, image, label } of dataset.cases) {
    const [a, b] = await Promise.all([stat(image), stat(label)]);
    hash.update(`\n${name} ${a.size} ${a.mtimeMs} ${b.size} ${b.mtimeMs}`);
  }
  return hash.digest('hex').slice(0, 16);
}

async function isWritable(folder: string): Promise<boolean> {
  try {
    await access(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

async function cacheFolder(dataset: Dataset, { size, fit = 'pad', fallback }: SliceCacheOptions): Promise<string> {
  const key = await fingerprint(dataset, size, fit);
  const own = join(dataset.folder, '.aaunet-cache', key);
  if (
    await access(join(own, 'index.json')).then(
      () => true,
      () => false,
    )
  )
    return own;
  if (await isWritable(dataset.folder)) return own;
  if (fallback === undefined) {
    throw new Error(
      `Expected to write the preprocessed slices into ${dataset.folder}, which is read-only; name a folder for them.`,
    );
  }
  return join(fallback, key);
}

function countLabels(labels: Uint8Array, slices: number, classes: number): number[][] {
  const sliceSize = labels.length / slices;
  return Array.from({ length: slices }, (_, k) => {
    const counts = new Array<number>(classes).fill(0);
    for (const label of labels.subarray(k * sliceSize, (k + 1) * sliceSize)) counts[label]!++;
    return counts;
  });
}

function bytesOf({ data }: Volume): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Counts of a case whose files are already there (an interrupted run left them), else undefined. */
async function recountCase(
  folder: string,
  name: string,
  size: number,
  classes: number,
): Promise<number[][] | undefined> {
  try {
    const labels = await readFile(join(folder, `${name}.u8`));
    const slices = labels.length / size ** 2;
    const image = await stat(join(folder, `${name}.i16`));
    if (!Number.isInteger(slices) || slices < 1 || image.size !== 2 * labels.length) return undefined;
    return countLabels(labels, slices, classes);
  } catch {
    return undefined;
  }
}

async function buildCache(folder: string, dataset: Dataset, options: SliceCacheOptions): Promise<CacheIndex> {
  const { size, fit = 'pad', onProgress, signal } = options;
  await mkdir(folder, { recursive: true });
  const classes = dataset.hasUnknown ? CLASS_COUNT + 1 : CLASS_COUNT;
  const cases: CacheIndex['cases'] = [];
  for (const [index, entry] of dataset.cases.entries()) {
    signal?.throwIfAborted();
    let counts = await recountCase(folder, entry.name, size, classes);
    if (!counts) {
      const own = await readCase(entry, dataset);
      const plane = new SquarePlane(own.image, size, fit);
      const [image, labels] = [plane.scan(own.image), plane.labelMap(own.labels)];
      counts = countLabels(labels.data, labels.slices, classes);
      // Labels last: a case with a label file is complete.
      await writeFileAtomic(join(folder, `${entry.name}.i16`), bytesOf(image));
      await writeFileAtomic(join(folder, `${entry.name}.u8`), bytesOf(labels));
    }
    cases.push({ name: entry.name, counts });
    onProgress?.(index + 1, dataset.cases.length, entry.name);
  }
  const cacheIndex: CacheIndex = { format: CACHE_FORMAT, size, cases };
  await writeJsonAtomic(join(folder, 'index.json'), cacheIndex);
  return cacheIndex;
}

/**
 * Opens the preprocessed slices of a data set, making them first where they are not there or the data have changed:
 * every case canonical (imaging's `toCanonical`) and brought in-plane to size x size (`SquarePlane`), as plain int16 HU and uint8 labels
 * in `<data>/.aaunet-cache/<key>/`.
 *
 * @throws Error if a file cannot be read, an image and its label map differ in size, or nothing can be written.
 */
export async function openSliceCache(dataset: Dataset, options: SliceCacheOptions): Promise<SliceCache> {
  const folder = await cacheFolder(dataset, options);
  const isReady = await access(join(folder, 'index.json')).then(
    () => true,
    () => false,
  );
  const index = isReady
    ? await readJson(join(folder, 'index.json'), indexSchema)
    : await buildCache(folder, dataset, options);
  return new SliceCache(folder, options.size, index.cases);
}

/**
 * Random access to preprocessed slices. Reads run on libuv's threads into the caller's arrays (views on tensors, say),
 * while the main thread computes.
 */
export class SliceCache {
  private readonly pool = new HandlePool();
  private readonly slicesOf: ReadonlyMap<string, number>;

  constructor(
    readonly folder: string,
    readonly size: number,
    readonly cases: readonly CachedCase[],
  ) {
    this.slicesOf = new Map(cases.map(({ name, counts }) => [name, counts.length]));
  }

  /** Slices of a case. @throws Error for an unknown case. */
  sliceCount(name: string): number {
    const slices = this.slicesOf.get(name);
    if (slices === undefined) throw new Error(`Expected a case of the data set, found "${name}".`);
    return slices;
  }

  /**
   * Reads slices k-1, k, k+1 (an end slice stands in for the neighbour that it lacks) as HU, [3, size, size].
   *
   * @param into 3 x size x size values.
   */
  async readTriple(name: string, k: number, into: Int16Array): Promise<void> {
    const slices = this.check(name, k, into.length, 3);
    const pixels = this.size ** 2;
    const [low, high] = [Math.max(0, k - 1), Math.min(slices - 1, k + 1)];
    const missingBelow = k === 0 ? 1 : 0;
    const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
    const target = bytes.subarray(missingBelow * 2 * pixels, (missingBelow + high - low + 1) * 2 * pixels);
    await this.read(`${name}.i16`, target, low * 2 * pixels);
    if (k === 0) into.copyWithin(0, pixels, 2 * pixels);
    if (k === slices - 1) into.copyWithin(2 * pixels, pixels, 2 * pixels);
  }

  /**
   * Reads the labels of slice k, [size, size].
   *
   * @param into size x size values.
   */
  async readLabels(name: string, k: number, into: Uint8Array): Promise<void> {
    this.check(name, k, into.length, 1);
    await this.read(`${name}.u8`, into, k * this.size ** 2);
  }

  /** Closes the files; reads under way must have ended. */
  close(): Promise<void> {
    return this.pool.close();
  }

  private check(name: string, k: number, length: number, planes: number): number {
    const slices = this.sliceCount(name);
    if (!Number.isInteger(k) || k < 0 || k >= slices) {
      throw new Error(`Expected a slice from 0 to ${slices - 1} of case ${name}, found ${k}.`);
    }
    const wanted = planes * this.size ** 2;
    if (length !== wanted) throw new Error(`Expected room for ${wanted} values, found ${length}.`);
    return slices;
  }

  private async read(file: string, target: Uint8Array, position: number): Promise<void> {
    const path = join(this.folder, file);
    await this.pool.use(path, async (handle) => {
      let done = 0;
      while (done < target.length) {
        const { bytesRead } = await handle.read(target, done, target.length - done, position + done);
        if (bytesRead === 0)
          throw new Error(`${path} is shorter than its index says; remove ${this.folder} and start again.`);
        done += bytesRead;
      }
    });
  }
}
