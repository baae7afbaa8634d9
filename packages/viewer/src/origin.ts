import type { ResultMaker } from '@aaunet/imaging';

import type { ModelInfo } from './model-file.js';

/** Where masks come from: nobody has looked, a hand drew them, a network outlined the slices it has done, a file had them. */
export type Origin = (
  | { readonly kind: 'nobody' }
  | { readonly kind: 'hand' }
  | { readonly kind: 'network'; readonly model: ModelInfo; readonly slices: ReadonlySet<number> }
  | { readonly kind: 'file'; readonly name: string; readonly warnings: readonly string[] }
) & {
  /** Whether a hand has drawn or corrected. */
  readonly isEdited: boolean;
};

export const NOBODY: Origin = { kind: 'nobody', isEdited: false };

/** The origin of masks after a hand has changed some of them. */
export const edited = (origin: Origin): Origin =>
  origin.kind === 'nobody' ? { kind: 'hand', isEdited: true } : { ...origin, isEdited: true };

/** What made the masks, as DICOM says it. */
export function makerOf(origin: Origin): Pick<ResultMaker, 'algorithm' | 'weights' | 'method'> {
  if (origin.kind === 'network') {
    const { name, sha256 } = origin.model;
    return { algorithm: name, weights: sha256, method: origin.isEdited ? 'SEMIAUTOMATIC' : 'AUTOMATIC' };
  }
  // How masks of a file were made is not known, for which DICOM has no word: this one claims least.
  if (origin.kind === 'file') return { algorithm: 'masks of a file', weights: 'unknown', method: 'SEMIAUTOMATIC' };
  return { algorithm: 'by hand', weights: 'none', method: 'MANUAL' };
}
