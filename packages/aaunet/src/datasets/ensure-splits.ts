import { LABELS } from '@aaunet/imaging';

import { UNKNOWN_LABEL, UNKNOWN_NAME } from './annotation.js';
import type { Dataset } from './dataset.js';
import type { SliceCache } from './slice-cache.js';
import { readSplits, splitByPatient, writeSplits, type Splits } from './splits.js';

/** A folder that cannot be written to. */
function isReadOnly(error: unknown): boolean {
  return error instanceof Error && 'code' in error && ['EACCES', 'EPERM', 'EROFS'].includes(String(error.code));
}

/**
 * The data set's splits.json; where there is none, one is drawn by patient and written (not into a read-only folder: the
 * same seed draws the same split again).
 *
 * @throws Error of one sentence if the patients do not allow a split in which every part has every type.
 */
export async function ensureSplits(dataset: Dataset, cache: SliceCache, seed: number): Promise<Splits> {
  const existing = await readSplits(dataset);
  if (existing) return existing;
  const kinds = [...LABELS, { id: UNKNOWN_LABEL, name: UNKNOWN_NAME }];
  const labelsPerCase = Object.fromEntries(
    cache.cases.map(({ name, counts }) => [
      name,
      kinds.filter(({ id }) => counts.some((slice) => (slice[id] ?? 0) > 0)).map(({ name: kind }) => kind),
    ]),
  );
  const splits = splitByPatient(
    dataset.cases.map(({ name }) => name),
    {
      patients: Object.fromEntries(dataset.cases.map(({ name, patient }) => [name, patient])),
      labelsPerCase,
      annotated: dataset.hasUnknown ? [...dataset.annotated, UNKNOWN_NAME] : dataset.annotated,
      seed,
    },
  );
  await writeSplits(dataset.folder, splits).catch((error: unknown) => {
    if (!isReadOnly(error)) throw error;
  });
  return splits;
}
