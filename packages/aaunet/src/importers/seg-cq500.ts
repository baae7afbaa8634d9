import { UNKNOWN_LABEL } from '../datasets/annotation.js';
import { listFiles, niftiStem, type FoundFile } from './files.js';
import { FIVE_TYPES, type Importer, type SkippedCase, type SourceCase } from './importer.js';
import { BINARY_NOTE } from './instance22.js';
import { cq500Lineage } from './lineage.js';
import { binaryMapping, readPair } from './masks.js';

/** Seg-CQ500: masks of blood (no types) for 51 scans of CQ500, mostly of thin slices, some with a sheared affine. */
export const segCq500: Importer = {
  title: 'Seg-CQ500',
  layout: 'folders CQ500-CT-N with CT.nii and ICH_mask.nii.gz (of data/volumes)',
  async plan(source) {
    const files = await listFiles(source);
    const folders = new Map<string, { ct?: FoundFile; mask?: FoundFile }>();
    for (const file of files) {
      const [, folder] = /(?:^|\/)(CQ500-?CT-?\d+[^/]*)\/[^/]+$/i.exec(file.path) ?? [];
      const stem = niftiStem(file.path)?.toLowerCase();
      if (folder === undefined || (stem !== 'ct' && stem !== 'ich_mask')) continue;
      const entry = folders.get(folder) ?? {};
      folders.set(folder, entry);
      if (stem === 'ct') entry.ct ??= file;
      else entry.mask ??= file;
    }
    if (folders.size === 0) return undefined;
    const cases: SourceCase[] = [];
    const skipped: SkippedCase[] = [];
    for (const [name, { ct, mask }] of folders) {
      if (ct === undefined || mask === undefined) {
        skipped.push({ name, reason: `There is no ${ct === undefined ? 'CT' : 'ICH_mask'} in its folder.` });
        continue;
      }
      cases.push({
        name,
        patient: name,
        lineage: cq500Lineage(name),
        files: [ct.absolute, mask.absolute],
        read: (notes) => readPair(ct.absolute, mask.absolute, binaryMapping(UNKNOWN_LABEL), notes),
      });
    }
    const thin = "Most slices are about 0.6 mm apart, a tenth of other sets'; nothing is resampled.";
    return {
      name: 'Seg-CQ500',
      annotated: [],
      untyped: FIVE_TYPES,
      hasUnknown: true,
      cases,
      skipped,
      notes: [BINARY_NOTE, { level: 'found', message: thin }],
    };
  },
};
