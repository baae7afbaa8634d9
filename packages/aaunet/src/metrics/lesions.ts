import { connectedComponents } from '@aaunet/imaging';

import type { Geometry } from './surface.js';

/** Smallest IoU at which a predicted lesion counts as the true one that it overlaps. */
export const LESION_IOU = 0.1;

/** Lesions of one type in one case; each true one is matched by at most one predicted one. */
export interface LesionCounts {
  readonly truth: number;
  readonly predicted: number;
  readonly matched: number;
}

/** What lesion counts say together: F1 = 2 matched / (truth + predicted); NaN where undefined. */
export interface LesionScores {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

export function lesionScores({ truth, predicted, matched }: LesionCounts): LesionScores {
  return {
    precision: predicted === 0 ? NaN : matched / predicted,
    recall: truth === 0 ? NaN : matched / truth,
    f1: truth + predicted === 0 ? NaN : (2 * matched) / (truth + predicted),
  };
}

/**
 * Counts lesions, which are connected components (26 neighbours), and matches them one to one: pairs in the order of
 * falling IoU, down to `minIou`.
 *
 * @param truth 0 or not, row-major slices x rows x columns.
 */
export function matchLesions(
  truth: Uint8Array,
  predicted: Uint8Array,
  geometry: Pick<Geometry, 'slices' | 'rows' | 'columns'>,
  minIou: number = LESION_IOU,
): LesionCounts {
  const { slices, rows, columns } = geometry;
  const isInside = (label: number): boolean => label !== 0;
  const ofTruth = connectedComponents({ data: truth, slices, rows, columns }, isInside);
  const ofPrediction = connectedComponents({ data: predicted, slices, rows, columns }, isInside);
  const overlaps = new Map<number, number>();
  const stride = ofPrediction.sizes.length + 1;
  for (let voxel = 0; voxel < truth.length; voxel++) {
    const [t, p] = [ofTruth.ids[voxel]!, ofPrediction.ids[voxel]!];
    if (t > 0 && p > 0) overlaps.set(t * stride + p, (overlaps.get(t * stride + p) ?? 0) + 1);
  }
  const pairs = [...overlaps]
    .map(([key, both]) => {
      const [t, p] = [Math.floor(key / stride), key % stride];
      return { t, p, iou: both / (ofTruth.sizes[t - 1]! + ofPrediction.sizes[p - 1]! - both) };
    })
    .filter(({ iou }) => iou >= minIou)
    .sort((a, b) => b.iou - a.iou || a.t - b.t || a.p - b.p);
  const [usedTruth, usedPrediction] = [new Set<number>(), new Set<number>()];
  for (const { t, p } of pairs) {
    if (usedTruth.has(t) || usedPrediction.has(p)) continue;
    usedTruth.add(t);
    usedPrediction.add(p);
  }
  return { truth: ofTruth.sizes.length, predicted: ofPrediction.sizes.length, matched: usedTruth.size };
}
