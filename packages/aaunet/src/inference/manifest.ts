import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { findPair, isPairedName, kindOfInput } from '@aaunet/imaging/node';
import { z } from 'zod';

import { writeJsonAtomic } from '../atomic.js';
import { readJson } from '../schema-errors.js';
import { SOFTWARE } from '../version.js';
import type { ModelIdentity } from './report.js';

const FORMAT = 'aaunet-manifest-2';
const MOST_FILES = 200_000;

const resultSchema = z.strictObject({
  /** Folder of the result in this folder. */
  name: z.string(),
  /** Whole path; in older manifests as it was given. */
  input: z.string(),
  /** Changes when the input's files, the weights or the options do. */
  fingerprint: z.string(),
  status: z.enum(['done', 'failed']),
  error: z.string().optional(),
  finished: z.string(),
  /** What made the result: others in the same folder may be other networks' work. */
  software: z.string(),
  models: z.array(z.strictObject({ name: z.string(), sha256: z.string() })),
  syntheticWeights: z.boolean(),
  options: z.strictObject({ flip: z.boolean(), probabilities: z.boolean() }),
});

const manifestSchema = z.strictObject({ format: z.literal(FORMAT), results: z.array(resultSchema) });

/** manifest.json: what was done in an output folder, each result with the weights and options that made it. */
export type Manifest = z.output<typeof manifestSchema>;
export type ManifestResult = Manifest['results'][number];
export type ManifestOptions = ManifestResult['options'];

/** What all results of one call have in common. */
export function originOf(
  identity: ModelIdentity,
  options: ManifestOptions,
): Pick<ManifestResult, 'software' | 'models' | 'syntheticWeights' | 'options'> {
  return {
    software: SOFTWARE,
    models: [...(identity.members ?? [{ name: identity.name, sha256: identity.sha256 ?? 'unknown' }])],
    syntheticWeights: identity.syntheticWeights,
    options,
  };
}

export async function readManifest(out: string): Promise<Manifest | undefined> {
  const path = join(out, 'manifest.json');
  if (!(await stat(path).catch(() => undefined))) return undefined;
  return readJson(path, manifestSchema);
}

export async function writeManifest(out: string, results: readonly ManifestResult[]): Promise<void> {
  await writeJsonAtomic(join(out, 'manifest.json'), { format: FORMAT, results });
}

/**
 * A hash of the files that are read for an input (names, sizes and times), the weights and the options: the same only for the
 * same result.
 *
 * @param out the folder of the results, which may lie beside the input's files and is none of them
 */
export async function inputFingerprint(
  input: string,
  identity: ModelIdentity,
  options: ManifestOptions & { readonly seriesUid?: string | undefined; readonly repair?: boolean | undefined },
  out: string,
): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([SOFTWARE, identity.sha256 ?? '', options]));
  const passedOver = resolve(out);
  let files = 0;
  const visit = async (path: string): Promise<void> => {
    const status = await stat(path).catch(() => undefined);
    if (status === undefined || path === passedOver || files++ > MOST_FILES) return;
    if (status.isDirectory()) for (const name of (await readdir(path)).sort()) await visit(join(path, name));
    else hash.update(`${path} ${status.size} ${status.mtimeMs}\n`);
  };
  for (const path of await pathsRead(resolve(input))) await visit(path);
  return hash.digest('hex').slice(0, 32);
}

/** The files and folders that reading an input looks at: of a DICOM file or a DICOMDIR its folder, of a pair both halves. */
async function pathsRead(input: string): Promise<string[]> {
  const kind = await kindOfInput(input).catch(() => undefined);
  const folder = dirname(input);
  if (kind === 'dicom' || kind === 'dicomdir') return [input, folder];
  // Of a pair that is not whole nothing is read.
  if (kind === 'nifti' && isPairedName(input)) return [...(await findPair(input).catch(() => [input]))];
  return [input];
}
