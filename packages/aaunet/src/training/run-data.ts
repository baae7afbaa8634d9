import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { z } from 'zod';

import { writeJsonAtomic } from '../atomic.js';
import { readDataset, type Dataset } from '../datasets/dataset.js';
import { ensureSplits } from '../datasets/ensure-splits.js';
import { openSliceCache, type CachedCase, type SliceCache, type SliceCacheOptions } from '../datasets/slice-cache.js';
import { PARTS, readSplitsFile, splitsSchema, type Splits } from '../datasets/splits.js';
import type { TrainConfig } from './config.js';

/** RUN/splits.json: the split that a run was begun with, and what tells the cases of it from others. */
const runSplitsSchema = splitsSchema.extend({ fingerprint: z.string() });

/** What a run was trained on. */
export interface RunData {
  readonly dataset: Dataset;
  readonly cache: SliceCache;
  readonly splits: Splits;
}

/** What a training sees of its cases: their slices' label counts, and the types that are marked in them. */
export function fingerprintOf(
  { annotated, untyped }: Pick<Dataset, 'annotated' | 'untyped'>,
  cases: readonly CachedCase[],
  splits: Splits,
): string {
  const used = PARTS.flatMap((part) => [...splits[part]].sort());
  const counts = new Map(cases.map((one) => [one.name, one.counts]));
  const content = [annotated, untyped, used.map((name) => [name, counts.get(name)])];
  return createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 16);
}

/** Writes RUN/splits.json: whatever becomes of the data set's own, the run's unseen patients stay unseen. */
export async function keepSplits(run: string, { dataset, cache, splits }: RunData): Promise<void> {
  const { train, val, test, seed } = splits;
  const fingerprint = fingerprintOf(dataset, cache.cases, splits);
  await writeJsonAtomic(join(run, 'splits.json'), { train, val, test, seed, fingerprint });
}

/** The split that a run was begun with; undefined of a run of an earlier version, which kept none. @throws as {@link splitsOfRun} */
export async function keptSplits(
  run: string,
  { cases }: Pick<Dataset, 'cases'>,
): Promise<z.output<typeof runSplitsSchema> | undefined> {
  const path = join(run, 'splits.json');
  return existsSync(path) ? readSplitsFile(path, runSplitsSchema, cases) : undefined;
}

/**
 * The split of a run; that of its data set for a run of an earlier version, which kept none.
 *
 * @throws Error of one sentence if the data set no longer has its cases.
 */
export async function splitsOfRun(
  run: string,
  { dataset, cache }: Pick<RunData, 'dataset' | 'cache'>,
  seed: number,
  onWarning: (text: string) => void = () => undefined,
): Promise<Splits & { readonly fingerprint?: string }> {
  const kept = await keptSplits(run, dataset);
  if (kept) return kept;
  onWarning(
    `${run} does not say which patients it was trained on (an earlier version wrote it); taking the split that ${dataset.folder} has now`,
  );
  return ensureSplits(dataset, cache, seed);
}

export interface RunDataOptions extends Pick<SliceCacheOptions, 'fallback' | 'onProgress' | 'signal'> {
  readonly onWarning?: ((text: string) => void) | undefined;
}

/** Opens what a run was trained on. @throws Error of one sentence where it is not at hand. */
export async function withRunData<R>(
  run: string,
  { data, size, fit, seed }: Pick<TrainConfig, 'data' | 'size' | 'fit' | 'seed'>,
  { fallback = run, onWarning, ...options }: RunDataOptions,
  body: (data: RunData) => Promise<R>,
): Promise<R> {
  const dataset = await readDataset(data).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `Expected the data of ${run} in ${data}, where they were in training; put them back or name their place as "data" in ${join(run, 'config.json')} (${reason})`,
      { cause: error },
    );
  });
  const cache = await openSliceCache(dataset, { size, fit, fallback, ...options });
  try {
    return await body({ dataset, cache, splits: await splitsOfRun(run, { dataset, cache }, seed, onWarning) });
  } finally {
    await cache.close();
  }
}
