import type { Volume } from '@aaunet/imaging';

import { UNKNOWN_LABEL } from '../datasets/annotation.js';
import { alignMask, readInput } from '../datasets/align-mask.js';
import { BHSD_LABELS } from './bhsd.js';
import { listFiles, niftiStem, type FoundFile } from './files.js';
import { FIVE_TYPES, type ImportedCase, type Importer, type Notes, type SkippedCase } from './importer.js';
import { cq500Lineage, rsnaLineage } from './lineage.js';
import { mapLabels } from './masks.js';

interface CaseFiles {
  image?: FoundFile;
  consensus?: FoundFile;
  readonly annotators: FoundFile[];
}

/**
 * MBH-Seg 2025: up to four annotators a case, BHSD's labels. The published consensus is taken where there is one; else a
 * voxel has the label that more than half of the annotators give it, and is unknown where they are divided.
 */
export const mbhSeg: Importer = {
  title: 'MBH-Seg',
  layout: 'case folders with image.nii.gz and label_annot_N.nii.gz (of MBH_Train_2025_voxel-label)',
  async plan(source) {
    const folders = new Map<string, CaseFiles>();
    for (const file of await listFiles(source)) {
      const folder = file.path.slice(0, Math.max(0, file.path.lastIndexOf('/')));
      const stem = niftiStem(file.path)?.toLowerCase();
      if (stem === undefined) continue;
      const entry = folders.get(folder) ?? { annotators: [] };
      if (stem === 'image') entry.image = file;
      else if (stem.startsWith('label_consensus')) entry.consensus = file;
      else if (/^label_annot_\d+$/.test(stem)) entry.annotators.push(file);
      else continue;
      folders.set(folder, entry);
    }
    const labelled = [...folders].filter(([, { annotators, consensus }]) => annotators.length > 0 || consensus);
    if (labelled.length === 0) return undefined;
    const skipped: SkippedCase[] = [...folders]
      .filter(([, { image, annotators, consensus }]) => !image || (annotators.length === 0 && !consensus))
      .map(([folder, { image }]) => ({
        name: folder,
        reason: `There is no ${image ? 'label' : 'image'} in its folder.`,
      }));
    return {
      name: 'MBH-Seg',
      annotated: FIVE_TYPES,
      hasUnknown: true,
      cases: labelled.flatMap(([folder, { image, consensus, annotators }]) => {
        if (image === undefined) return [];
        const name = folder.slice(folder.lastIndexOf('/') + 1) || 'case';
        const masks = consensus ? [consensus] : annotators;
        return [
          {
            name,
            patient: name,
            lineage: rsnaLineage(name) ?? cq500Lineage(name),
            files: [image, ...masks].map(({ absolute }) => absolute),
            read: (notes: Notes) => readCase(image, masks, notes),
          },
        ];
      }),
      skipped,
    };
  },
};

async function readCase(image: FoundFile, masks: readonly FoundFile[], notes: Notes): Promise<ImportedCase> {
  const scan = await readInput(image.absolute, 'image', notes);
  const maps: Volume<Uint8Array>[] = [];
  let aligned: Volume = scan.volume;
  for (const mask of masks) {
    const fitted = alignMask(scan, await readInput(mask.absolute, niftiStem(mask.path)!, notes), notes);
    aligned = fitted.image;
    maps.push(mapLabels(fitted.mask, BHSD_LABELS));
  }
  if (maps.length === 1) return { image: aligned, labels: maps[0]! };
  const labels = majority(maps.map(({ data }) => data));
  const divided = labels.reduce((sum, label) => sum + (label === UNKNOWN_LABEL ? 1 : 0), 0);
  notes.add('found', `Of ${maps.length} annotators the majority counts; ${divided} voxels have none and are unknown.`);
  return { image: aligned, labels: { ...maps[0]!, data: labels } };
}

/** The label that more than half of the maps give each voxel, {@link UNKNOWN_LABEL} where none is. */
export function majority(maps: readonly Uint8Array[]): Uint8Array {
  const first = maps[0]!;
  const out = new Uint8Array(first.length);
  const votes = new Uint8Array(UNKNOWN_LABEL + 1);
  for (let index = 0; index < out.length; index++) {
    votes.fill(0);
    for (const map of maps) votes[map[index]!]!++;
    const winner = votes.findIndex((count) => 2 * count > maps.length);
    out[index] = winner < 0 ? UNKNOWN_LABEL : winner;
  }
  return out;
}
