import { ImagingError } from './imaging-error.js';
import type { Affine, Volume } from './volume.js';

export type Vector3 = readonly [number, number, number];

export const dot = (a: Vector3, b: Vector3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

export const subtract = (a: Vector3, b: Vector3): Vector3 => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];

export const scale = (a: Vector3, factor: number): Vector3 => [a[0] * factor, a[1] * factor, a[2] * factor];

export const norm = (a: Vector3): number => Math.hypot(a[0], a[1], a[2]);

export const cross = (a: Vector3, b: Vector3): Vector3 => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

/** The vector at length 1; throws for a vector without direction. */
export function normalize(a: Vector3): Vector3 {
  const length = norm(a);
  if (!(length > 0) || !Number.isFinite(length)) {
    throw new ImagingError('bad-argument', `Expected a direction, found the vector (${a.join(', ')}).`);
  }
  return scale(a, 1 / length);
}

/** A point or direction in LPS+ (DICOM) as RAS+ (NIfTI), or the other way round: x and y change sign. */
export const flipLpsRas = (a: Vector3): Vector3 => [0 - a[0], 0 - a[1], a[2]];

/** The affine with the given columns: steps along column index, row index and slice index, and the first voxel's place. */
export function affineFromColumns(i: Vector3, j: Vector3, k: Vector3, origin: Vector3): Affine {
  return [
    [i[0], j[0], k[0], origin[0]],
    [i[1], j[1], k[1], origin[1]],
    [i[2], j[2], k[2], origin[2]],
    [0, 0, 0, 1],
  ];
}

/** Column 0, 1, 2 (step in mm along column, row, slice index) or 3 (place of the first voxel) of an affine, RAS+. */
export function affineColumn(affine: Affine, column: 0 | 1 | 2 | 3): Vector3 {
  return [affine[0][column], affine[1][column], affine[2][column]];
}

export interface DicomStack {
  /** Image Orientation Patient: direction in which the column index grows, then that in which the row index grows. */
  readonly orientation: readonly [number, number, number, number, number, number];
  /** Pixel Spacing in DICOM's order: between rows, between columns, mm. */
  readonly rowSpacing: number;
  readonly columnSpacing: number;
  /** Image Position Patient of each slice's first voxel, LPS+ mm, in storage order. */
  readonly positions: readonly Vector3[];
  /** Slice thickness in mm; used only where a single slice leaves the step unknown. */
  readonly thickness?: number;
}

/**
 * The affine (RAS+) of a stack of DICOM slices. The third column is (last position - first position) / (n - 1), so that
 * a gantry tilt stays visible as shear; a single slice steps by its thickness (1 mm where unknown) along its normal.
 */
export function affineFromDicom(stack: DicomStack): Affine {
  const { orientation: o, positions } = stack;
  const first = positions[0];
  const last = positions.at(-1);
  if (first === undefined || last === undefined) {
    throw new ImagingError('bad-argument', 'Expected at least one slice position, found none.');
  }
  const across: Vector3 = [o[0], o[1], o[2]];
  const down: Vector3 = [o[3], o[4], o[5]];
  const step =
    positions.length > 1
      ? scale(subtract(last, first), 1 / (positions.length - 1))
      : scale(normalize(cross(across, down)), stack.thickness ?? 1);
  return affineFromColumns(
    flipLpsRas(scale(across, stack.columnSpacing)),
    flipLpsRas(scale(down, stack.rowSpacing)),
    flipLpsRas(step),
    flipLpsRas(first),
  );
}

/** Patient coordinates (RAS+, mm) of voxel (column i, row j, slice k); fractions are places between voxel centres. */
export function voxelToPatient(affine: Affine, i: number, j: number, k: number): Vector3 {
  const [x, y, z] = affine;
  return [
    x[0] * i + x[1] * j + x[2] * k + x[3],
    y[0] * i + y[1] * j + y[2] * k + y[3],
    z[0] * i + z[1] * j + z[2] * k + z[3],
  ];
}

/** Voxel index (i, j, k), with fractions, of a place in patient coordinates (RAS+, mm). */
export function patientToVoxel(affine: Affine, point: Vector3): Vector3 {
  const determinant = affineDeterminant(affine);
  if (determinant === 0) throw new ImagingError('bad-argument', 'Expected an invertible affine, found a singular one.');
  const i = affineColumn(affine, 0);
  const j = affineColumn(affine, 1);
  const k = affineColumn(affine, 2);
  const offset = subtract(point, affineColumn(affine, 3));
  // Cramer's rule, written with triple products.
  return [
    dot(offset, cross(j, k)) / determinant,
    dot(i, cross(offset, k)) / determinant,
    dot(i, cross(j, offset)) / determinant,
  ];
}

/** Determinant of the affine's 3x3 part, mm³: the signed volume of a voxel. */
export function affineDeterminant(affine: Affine): number {
  return dot(affineColumn(affine, 0), cross(affineColumn(affine, 1), affineColumn(affine, 2)));
}

/**
 * Lengths of the affine's columns in mm: between columns, between rows, and from slice to slice. Under a gantry tilt the
 * last is the table's step, longer than the distance along the normal by 1 / cos(tilt).
 */
export function spacingOf(affine: Affine): Vector3 {
  return [norm(affineColumn(affine, 0)), norm(affineColumn(affine, 1)), norm(affineColumn(affine, 2))];
}

/** Unit normal (RAS+) of the slices, on the side to which the slice index grows. */
export function sliceNormal(affine: Affine): Vector3 {
  const normal = normalize(cross(affineColumn(affine, 0), affineColumn(affine, 1)));
  return dot(normal, affineColumn(affine, 2)) < 0 ? scale(normal, -1) : normal;
}

/** Angle in degrees, 0 to 90, between the slice normal and the direction from slice to slice: the gantry tilt. */
export function tiltDegrees(affine: Affine): number {
  const step = normalize(affineColumn(affine, 2));
  const normal = sliceNormal(affine);
  // atan2 keeps its precision near 0 degrees, where acos loses half the digits.
  return (Math.atan2(norm(cross(step, normal)), Math.abs(dot(step, normal))) * 180) / Math.PI;
}

/** Volume of one voxel in mL where slices are evenly spaced: |det| / 1000, true under a gantry tilt too. */
export function voxelVolumeMl(affine: Affine): number {
  return Math.abs(affineDeterminant(affine)) / 1000;
}

/** A step longer than this many times what its slices cover is a gap, where slices are missing. */
const GAP = 1.5;

/**
 * The extent in mm along the normal that each slice stands for: half the distance to each neighbour; an end slice, which
 * has one neighbour, reaches as far outwards as inwards. Without gaps the extents are those of the cells nearest to each
 * slice, which neither overlap nor leave anything out, and equal steps give that step for every slice.
 *
 * A step of more than 1.5 times both the median step and the mean thickness of its two slices is a gap: nobody knows what
 * lies in it, so each of the two slices reaches into it by half of its own thickness (or of the median step, where that is
 * more) and the rest stands for no slice.
 *
 * @param offsets place of each slice along the normal in mm, strictly growing or strictly falling
 * @param thicknesses of each slice, mm, undefined where not known; without the list no step is taken for a gap
 */
export function sliceExtents(offsets: readonly number[], thicknesses?: readonly (number | undefined)[]): number[] {
  const steps = offsets.slice(1).map((offset, k) => offset - offsets[k]!);
  const sign = Math.sign(steps[0] ?? 1);
  if (!offsets.every(Number.isFinite) || sign === 0 || steps.some((step) => !(step * sign > 0))) {
    throw new ImagingError('bad-argument', 'Expected slice offsets in strict order along the normal.');
  }
  if (steps.length === 0) return offsets.map(() => thicknesses?.[0] ?? 1);
  const typical = medianOf(steps.map(Math.abs));
  const covered = (k: number): number => Math.max(typical, thicknesses?.[k] ?? 0);
  /** What slice k covers of the step after slice `step`. */
  const reach = (k: number, step: number): number => {
    const length = Math.abs(steps[step]!);
    const mean = ((thicknesses?.[step] ?? 0) + (thicknesses?.[step + 1] ?? 0)) / 2;
    const isGap = thicknesses !== undefined && length > GAP * Math.max(typical, mean);
    return (isGap ? covered(k) : length) / 2;
  };
  return offsets.map((_, k) => reach(k, Math.max(0, k - 1)) + reach(k, Math.min(steps.length - 1, k)));
}

/** The median of at least one number. */
export function medianOf(values: readonly number[]): number {
  const ordered = [...values].sort((a, b) => a - b);
  const middle = ordered.length >> 1;
  return ordered.length % 2 === 1 ? ordered[middle]! : (ordered[middle - 1]! + ordered[middle]!) / 2;
}

/** Volume in mL of one voxel in each slice: from the slices' true extents where they are uneven, else |det| of the affine. */
export function voxelVolumesMl(volume: Pick<Volume, 'affine' | 'slices' | 'extents'>): Float64Array {
  const { affine, slices, extents } = volume;
  if (extents === undefined) return new Float64Array(slices).fill(voxelVolumeMl(affine));
  if (extents.length !== slices) {
    throw new ImagingError('bad-argument', `Expected ${slices} slice extents, found ${extents.length}.`);
  }
  const pixelArea = norm(cross(affineColumn(affine, 0), affineColumn(affine, 1)));
  return Float64Array.from(extents, (extent) => (pixelArea * extent) / 1000);
}
