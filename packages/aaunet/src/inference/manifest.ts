import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { z } from 'zod';

import { writeJsonAtomic } from '../atomic.js';
import { readJson } from '../schema-errors.js';
import { SOFTWARE } from '../version.js';
import type { ModelIdentity } from './report.js';

const MOST_FILES = 200_000;

const manifestSchema = z.strictObject({
  format: z.literal('aaunet-manifest-1'),
  software: z.string(),
  models: z.array(z.strictObject({ name: z.string(), sha256: z.string() })),
  syntheticWeights: z.boolean(),
  options: z.strictObject({ flip: z.boolean(), probabilities: z.boolean() }),
  results: z.array(
    z.strictObject({
      /** Folder of the result in this folder. */
      name: z.string(),
      input: z.string(),
      /** Changes when the input's files, the weights or the options do. */
      fingerprint: z.string(),
      status: z.enum(['done', 'failed']),
      error: z.string().optional(),
      finished: z.string(),
    }),
  ),
});

/** manifest.json: what was done in an output folder, with which weights. */
export type Manifest = z.output<typeof manifestSchema>;
export type ManifestOptions = Manifest['options'];

export function newManifest(identity: ModelIdentity, options: ManifestOptions): Manifest {
  return {
    format: 'aaunet-manifest-1',
    software: SOFTWARE,
    models: [...(identity.members ?? [{ name: identity.name, sha256: identity.sha256 ?? 'unknown' }])],
    syntheticWeights: identity.syntheticWeights,
    options,
    results: [],
  };
}

export async function readManifest(out: string): Promise<Manifest | undefined> {
  const path = join(out, 'manifest.json');
  if (!(await stat(path).catch(() => undefined))) return undefined;
  return readJson(path, manifestSchema);
}

export async function writeManifest(out: string, manifest: Manifest): Promise<void> {
  await writeJsonAtomic(join(out, 'manifest.json'), manifest);
}

/** A hash of an input's files (names, sizes and times), the weights and the options: the same only for the same result. */
export async function inputFingerprint(
  input: string,
  identity: ModelIdentity,
  options: ManifestOptions & { readonly seriesUid?: string | undefined; readonly repair?: boolean | undefined },
): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([SOFTWARE, identity.sha256 ?? '', options]));
  let files = 0;
  const visit = async (path: string): Promise<void> => {
    const status = await stat(path).catch(() => undefined);
    if (status === undefined || files++ > MOST_FILES) return;
    if (status.isDirectory()) for (const name of (await readdir(path)).sort()) await visit(join(path, name));
    else hash.update(`${path} ${status.size} ${status.mtimeMs}\n`);
  };
  await visit(resolve(input));
  return hash.digest('hex').slice(0, 32);
}
