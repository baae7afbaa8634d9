import { CLASS_COUNT, LABELS, type LabelName } from '@aaunet/imaging';

/**
 * Label of a voxel whose type is not known: nnU-Net's "ignore", which is the number behind the last label. It is any of
 * `untyped`, or, where that is empty, anything at all.
 */
export const UNKNOWN_LABEL = CLASS_COUNT;

/** Name of {@link UNKNOWN_LABEL} in dataset.json, as in nnU-Net v2. */
export const UNKNOWN_NAME = 'ignore';

/** What the labels of a data set say, and what they leave open. */
export interface Annotation {
  /** Types that are marked by name wherever they are. */
  readonly annotated: readonly LabelName[];
  /** Types that a voxel of {@link UNKNOWN_LABEL} may be; they too are marked wherever they are, if without their name. */
  readonly untyped: readonly LabelName[];
  /** Whether the label maps may hold {@link UNKNOWN_LABEL}. */
  readonly hasUnknown: boolean;
}

/** Numbers of the types that are not marked at all: a voxel labelled background may be any of them. */
export function unmarkedTypes({ annotated, untyped }: Pick<Annotation, 'annotated' | 'untyped'>): number[] {
  return LABELS.filter(({ name }) => !annotated.includes(name) && !untyped.includes(name)).map(({ id }) => id);
}

/** Numbers of these types, in their order. */
export function typeIds(names: readonly LabelName[]): number[] {
  return LABELS.filter(({ name }) => names.includes(name)).map(({ id }) => id);
}
