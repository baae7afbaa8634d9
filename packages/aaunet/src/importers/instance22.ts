import { unmatched } from './bhsd.js';
import { listFiles, niftiFilesIn } from './files.js';
import { FIVE_TYPES, type Importer } from './importer.js';
import { binaryMapping, readPair } from './masks.js';
import { UNKNOWN_LABEL } from '../datasets/annotation.js';

/** INSTANCE 2022 (Li et al. 2023): 100 scans whose masks say where blood is, but not of which type. */
export const instance22: Importer = {
  title: 'INSTANCE22',
  layout: 'the folders "data" and "label" with NIfTI files of the same names (of train_2 or train)',
  async plan(source) {
    const files = await listFiles(source);
    const masks = niftiFilesIn(files, /(^|\/)labels?\/$/i);
    if (masks.size === 0) return undefined;
    const images = niftiFilesIn(files, /(^|\/)(data|images?)\/$/i);
    if (images.size === 0) return undefined;
    const cases = [...images].flatMap(([name, image]) => {
      const mask = masks.get(name);
      if (mask === undefined) return [];
      return [
        {
          name: `INSTANCE_${name}`,
          patient: `instance22:${name}`,
          files: [image.absolute, mask.absolute],
          read: readPair.bind(undefined, image.absolute, mask.absolute, binaryMapping(UNKNOWN_LABEL)),
        },
      ];
    });
    return {
      name: 'INSTANCE22',
      annotated: [],
      untyped: FIVE_TYPES,
      hasUnknown: true,
      cases,
      skipped: unmatched(images, masks),
      notes: [BINARY_NOTE],
    };
  },
};

/** What a mask of one kind of thing means for training and scores. */
export const BINARY_NOTE = {
  level: 'found',
  message: 'The masks do not name types: they teach where blood is, and no type gets a score from them.',
} as const;
