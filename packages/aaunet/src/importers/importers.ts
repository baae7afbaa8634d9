import { bhsd } from './bhsd.js';
import { ctIch } from './ct-ich.js';
import { hemseg } from './hemseg.js';
import type { Importer } from './importer.js';
import { instance22 } from './instance22.js';
import { mbhSeg } from './mbh-seg.js';
import { nnunet } from './nnunet.js';
import { pairs } from './pairs.js';
import { segCq500 } from './seg-cq500.js';

/** Every kind of data set that can be imported: the one table. */
export const IMPORTERS = {
  bhsd,
  instance22,
  'ct-ich': ctIch,
  'seg-cq500': segCq500,
  'mbh-seg': mbhSeg,
  hemseg,
  nnunet,
  pairs,
} as const satisfies Readonly<Record<string, Importer>>;

export type ImportKind = keyof typeof IMPORTERS;

export const IMPORT_KINDS = Object.keys(IMPORTERS) as ImportKind[];
