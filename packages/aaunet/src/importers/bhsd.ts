import { join } from 'node:path';
import { z } from 'zod';

import { readJson } from '../schema-errors.js';
import { listFiles, niftiFilesIn, type FoundFile } from './files.js';
import { FIVE_TYPES, type Importer, type Note, type SourceCase } from './importer.js';
import { rsnaLineage } from './lineage.js';
import { readPair, valueMapping } from './masks.js';

/** BHSD's and MBH-Seg's numbers (1 EDH, 2 IPH, 3 IVH, 4 SAH, 5 SDH) as Table I's. */
export const BHSD_LABELS = valueMapping({ 1: 4, 2: 1, 3: 7, 4: 3, 5: 2 });

/**
 * BHSD (Wu et al. 2023): 192 scans of RSNA 2019 with five types. The geometry is in the qform, the masks are 16 bits wide;
 * dataset.json names paths that the archive does not have, so cases are joined by file name.
 */
export const bhsd: Importer = {
  title: 'BHSD',
  layout: 'the folders "images" and "ground truths" (of label_192)',
  async plan(source) {
    const files = await listFiles(source, /^unlabel/i);
    const masks = niftiFilesIn(files, /(^|\/)ground[ _-]?truths?\/$/i);
    const images = niftiFilesIn(files, /(^|\/)images\/$/i);
    if (masks.size === 0 || images.size === 0) return undefined;
    const cases = [...images].flatMap(([name, image]): SourceCase[] => {
      const mask = masks.get(name);
      if (mask === undefined) return [];
      return [
        {
          name,
          patient: name,
          lineage: rsnaLineage(name),
          files: [image.absolute, mask.absolute],
          read: (notes) => readPair(image.absolute, mask.absolute, BHSD_LABELS, notes),
        },
      ];
    });
    return {
      name: 'BHSD',
      annotated: FIVE_TYPES,
      cases,
      skipped: unmatched(images, masks),
      notes: await officialSplit(source, files),
    };
  },
};

/** Images without a mask and masks without an image, as cases that were skipped. */
export function unmatched(images: ReadonlyMap<string, FoundFile>, masks: ReadonlyMap<string, FoundFile>) {
  const alone = (from: ReadonlyMap<string, FoundFile>, other: ReadonlyMap<string, FoundFile>, what: string) =>
    [...from.keys()]
      .filter((name) => !other.has(name))
      .map((name) => ({ name, reason: `There is no ${what} of this name.` }));
  return [...alone(images, masks, 'mask'), ...alone(masks, images, 'image')];
}

const listSchema = z.looseObject({ training: z.array(z.unknown()).optional(), test: z.array(z.unknown()).optional() });

async function officialSplit(source: string, files: readonly FoundFile[]): Promise<Note[]> {
  const path = files.find((file) => /(^|\/)dataset\.json$/.test(file.path))?.absolute ?? join(source, 'dataset.json');
  const official = await readJson(path, listSchema).catch(() => undefined);
  if (!official?.training || !official.test) return [];
  const message = `dataset.json proposes ${official.training.length} cases for training and ${official.test.length} for testing; it was not taken over, write splits.json to use it.`;
  return [{ level: 'found', message }];
}
