import { CLASS_COUNT, connectedComponents, LABELS } from '@aaunet/imaging';

import type { Geometry } from './surface.js';

/**
 * Adds to `confusion[true label][predicted label]` a case's true lesions (connected components, 26 neighbours), each under
 * the type that most of its marked voxels were given, or 0 where none of its voxels was marked.
 *
 * @param truth labels 0 to 7, row-major slices x rows x columns.
 */
export function confuseLesions(
  truth: Uint8Array,
  predicted: Uint8Array,
  geometry: Pick<Geometry, 'slices' | 'rows' | 'columns'>,
  confusion: number[][],
): void {
  const { slices, rows, columns } = geometry;
  for (const { id } of LABELS) {
    if (!truth.includes(id)) continue;
    const { ids, sizes } = connectedComponents({ data: truth, slices, rows, columns }, (label) => label === id);
    const counts = new Float64Array(sizes.length * CLASS_COUNT);
    for (let voxel = 0; voxel < ids.length; voxel++) {
      if (ids[voxel] !== 0) counts[(ids[voxel]! - 1) * CLASS_COUNT + predicted[voxel]!]!++;
    }
    for (let lesion = 0; lesion < sizes.length; lesion++) {
      let given = 0;
      for (let label = 1; label < CLASS_COUNT; label++) {
        const best = given === 0 ? 0 : counts[lesion * CLASS_COUNT + given]!;
        if (counts[lesion * CLASS_COUNT + label]! > best) given = label;
      }
      confusion[id]![given]!++;
    }
  }
}

/** A table of zeros for `confuseLesions`. */
export function emptyConfusion(): number[][] {
  return Array.from({ length: CLASS_COUNT }, () => new Array<number>(CLASS_COUNT).fill(0));
}
