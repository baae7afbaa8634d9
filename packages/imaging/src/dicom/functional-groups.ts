import type { DicomDataset } from './dataset.js';
import { TAG } from './tags.js';

/** A frame's group of attributes by the tag of its sequence: its own, else the shared one. */
export type FunctionalGroups = (group: number) => DicomDataset | undefined;

/** The functional groups of a multi-frame object, one entry a frame in the file's order (PS3.3, C.7.6.16). */
export function functionalGroups(dataset: DicomDataset): {
  readonly hasAny: boolean;
  readonly groups: readonly FunctionalGroups[];
} {
  const perFrame = dataset.items(TAG.perFrameFunctionalGroups);
  const shared = dataset.items(TAG.sharedFunctionalGroups)[0];
  // The shared groups are the same for every frame; they are taken apart once.
  const sharedGroups = new Map<number, DicomDataset | undefined>();
  const groups = perFrame.map((own) => (group: number) => {
    const found = own.items(group)[0];
    if (found !== undefined) return found;
    if (!sharedGroups.has(group)) sharedGroups.set(group, shared?.items(group)[0]);
    return sharedGroups.get(group);
  });
  return { hasAny: perFrame.length > 0 || shared !== undefined, groups };
}
