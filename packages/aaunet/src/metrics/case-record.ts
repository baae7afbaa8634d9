import { LABELS, voxelVolumesMl, type LabelName } from '@aaunet/imaging';

import type { EmptyConvention } from './dice.js';
import { LESION_IOU, matchLesions, type LesionCounts } from './lesions.js';
import type { Overlap } from './overlap.js';
import { surfaceScores, type Geometry, type MissedConvention } from './surface.js';

/** Name of all annotated types taken together. */
export const ANY = 'any';

/** One type in one slice. */
export interface SliceRecord extends Overlap {
  /** Largest probability in the slice; NaN where the network's probabilities are not known. */
  readonly probability: number;
}

/** One type (or all together, id 0) in one case, by every metric. */
export interface TypeRecord extends Overlap {
  readonly id: number;
  readonly name: string;
  readonly truthMl: number;
  readonly predictedMl: number;
  readonly nsd1mm: number;
  readonly nsd2mm: number;
  readonly hd95Mm: number;
  readonly lesions: LesionCounts;
  readonly perSlice: readonly SliceRecord[];
}

export interface CaseRecord {
  readonly case: string;
  readonly patient: string;
  /** Only types that the data set marks, in the order of their numbers, then all of them together. */
  readonly types: readonly TypeRecord[];
}

/** Labels of a whole case, and what was measured of its probabilities. */
export interface CaseResult {
  readonly case: string;
  readonly patient: string;
  /** Where the voxels lie. */
  readonly geometry: Geometry;
  /** Labels 0 to 7, row-major slices x rows x columns. */
  readonly truth: Uint8Array;
  readonly predicted: Uint8Array;
  /** Largest probability of every label in every slice, [slices][label]; absent where not known. */
  readonly probabilities?: readonly ArrayLike<number>[] | undefined;
}

export interface RecordOptions {
  readonly annotated: readonly LabelName[];
  readonly empty?: EmptyConvention | undefined;
  readonly missed?: MissedConvention | undefined;
}

interface Wanted {
  readonly id: number;
  readonly name: string;
  readonly labels: ReadonlySet<number>;
}

/** Measures one case in every type that the data set marks, and in all of them together. */
export function recordCase(result: CaseResult, options: RecordOptions): CaseRecord {
  const marked = LABELS.filter(({ name }) => options.annotated.includes(name));
  const wanted: Wanted[] = [
    ...marked.map(({ id, name }) => ({ id, name, labels: new Set([id]) })),
    { id: 0, name: ANY, labels: new Set(marked.map(({ id }) => id)) },
  ];
  return { case: result.case, patient: result.patient, types: wanted.map((one) => recordType(result, one, options)) };
}

function maskOf(labels: Uint8Array, wanted: ReadonlySet<number>): Uint8Array {
  const isWanted = Uint8Array.from({ length: 256 }, (_, label) => (wanted.has(label) ? 1 : 0));
  return labels.map((label) => isWanted[label]!);
}

function recordType(result: CaseResult, { id, name, labels }: Wanted, options: RecordOptions): TypeRecord {
  const { geometry, probabilities } = result;
  const [truth, predicted] = [maskOf(result.truth, labels), maskOf(result.predicted, labels)];
  const plane = geometry.rows * geometry.columns;
  const mlPerVoxel = voxelVolumesMl(geometry);
  const total = { truth: 0, predicted: 0, intersection: 0, truthMl: 0, predictedMl: 0 };
  const perSlice = Array.from({ length: geometry.slices }, (_, k): SliceRecord => {
    const counts = { truth: 0, predicted: 0, intersection: 0 };
    for (let voxel = k * plane; voxel < (k + 1) * plane; voxel++) {
      counts.truth += truth[voxel]!;
      counts.predicted += predicted[voxel]!;
      counts.intersection += truth[voxel]! & predicted[voxel]!;
    }
    total.truth += counts.truth;
    total.predicted += counts.predicted;
    total.intersection += counts.intersection;
    total.truthMl += counts.truth * mlPerVoxel[k]!;
    total.predictedMl += counts.predicted * mlPerVoxel[k]!;
    const ofSlice = probabilities?.[k];
    return { ...counts, probability: ofSlice ? Math.max(...[...labels].map((label) => ofSlice[label]!)) : NaN };
  });
  const { nsd, hd95 } = surfaceScores(truth, predicted, geometry, { empty: options.empty, missed: options.missed });
  return {
    id,
    name,
    ...total,
    nsd1mm: nsd[0]!,
    nsd2mm: nsd[1]!,
    hd95Mm: hd95,
    lesions: matchLesions(truth, predicted, geometry, LESION_IOU),
    perSlice,
  };
}
