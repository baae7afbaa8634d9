import { affineFromDicom, cross, dot, norm, normalize, scale, sliceExtents, subtract, tiltDegrees } from '../affine.js';
import type { Vector3 } from '../affine.js';
import type { Affine } from '../volume.js';
import type { DicomSlice, Orientation } from './slice.js';

export type DicomProblemCode =
  | 'gantry-tilt'
  | 'uneven-steps'
  | 'missing-slices'
  | 'mixed-thickness'
  | 'mixed-geometry'
  | 'duplicate-slices'
  | 'conflicting-slices'
  | 'repeated-uid'
  | 'single-slice'
  | 'rescale-assumed'
  | 'clamped-values';

/** Something about a series that its reader should know; nothing was repaired because of it. */
export interface DicomProblem {
  readonly code: DicomProblemCode;
  readonly message: string;
}

/** A stack of axial CT slices of one series, one orientation and one size, in order from inferior to superior. */
export interface DicomSeries {
  readonly uid: string;
  readonly studyUid: string;
  readonly frameOfReferenceUid: string | undefined;
  readonly description: string;
  readonly modality: 'CT';
  /** Inferior to superior, duplicates dropped. */
  readonly slices: readonly DicomSlice[];
  readonly rows: number;
  readonly columns: number;
  readonly rowSpacing: number;
  readonly columnSpacing: number;
  readonly orientation: Orientation;
  /** Image Position Patient of each slice, LPS+ mm. */
  readonly positions: readonly Vector3[];
  /** RAS+; the third column is (last position - first) / (n - 1), so that a tilt is kept as shear. */
  readonly affine: Affine;
  /** Where slices are uneven: mm along the normal that each stands for ({@link sliceExtents}). */
  readonly extents: readonly number[] | undefined;
  /** Angle between the slice normal and the direction from slice to slice. */
  readonly tiltDegrees: number;
  /** Distances between neighbouring positions, mm: under a tilt the table's step, not the distance along the normal. */
  readonly stepMm: { readonly min: number; readonly median: number; readonly max: number };
  readonly problems: readonly DicomProblem[];
}

/** Positions this close are the same; steps that differ by less are equal. */
const SAME_MM = 0.01;
const EVEN_MM = 0.05;
const TILT_DEGREES = 0.1;

/** Sorts slices into series (and, within one, by orientation, size and spacing), the one with most slices first. */
export function groupDicomSeries(slices: Iterable<DicomSlice>): DicomSeries[] {
  const bySeries = new Map<string, DicomSlice[][]>();
  for (const slice of slices) {
    const key = [slice.studyUid, slice.seriesUid, slice.frameOfReferenceUid ?? ''].join('|');
    const stacks = bySeries.get(key) ?? [];
    bySeries.set(key, stacks);
    const stack = stacks.find(([first]) => first !== undefined && isParallel(first, slice));
    if (stack === undefined) stacks.push([slice]);
    else stack.push(slice);
  }
  const all = [...bySeries.values()].flatMap((stacks) => stacks.map((stack) => describe(stack, stacks.length)));
  return all.sort((a, b) => b.slices.length - a.slices.length || (a.uid < b.uid ? -1 : 1));
}

/** Whether two slices can lie in one stack: same size, and orientation and spacing equal to rounding. */
function isParallel(a: DicomSlice, b: DicomSlice): boolean {
  return (
    a.rows === b.rows &&
    a.columns === b.columns &&
    Math.abs(a.rowSpacing - b.rowSpacing) < 1e-3 * a.rowSpacing &&
    Math.abs(a.columnSpacing - b.columnSpacing) < 1e-3 * a.columnSpacing &&
    a.orientation.every((value, index) => Math.abs(value - b.orientation[index]!) < 2e-3)
  );
}

function describe(group: readonly DicomSlice[], stacks: number): DicomSeries {
  const problems: DicomProblem[] = [];
  const { orientation } = group[0]!;
  const normal = superiorNormal(orientation);
  const slices = sortAndDropDuplicates(group, normal, problems);
  const first = slices[0]!;
  const positions = slices.map((slice) => slice.position);
  const affine = affineFromDicom({
    orientation,
    rowSpacing: first.rowSpacing,
    columnSpacing: first.columnSpacing,
    positions: slices.length > 1 ? positions : [first.position],
    // A lone slice steps upwards, as a stack would.
    thickness: (first.thickness ?? 1) * (cross3(orientation)[2] < 0 ? -1 : 1),
  });
  const steps = positions.slice(1).map((position, k) => norm(subtract(position, positions[k]!)));
  const ordered = steps.toSorted((a, b) => a - b);
  const lone = first.thickness ?? 1;
  const stepMm = {
    min: ordered[0] ?? lone,
    median: medianOf(ordered) ?? lone,
    max: ordered.at(-1) ?? lone,
  };
  const tilt = tiltDegrees(affine);
  const even = deviation(positions) <= EVEN_MM;
  if (stacks > 1) {
    problems.push({
      code: 'mixed-geometry',
      message: `The series holds ${stacks} stacks of different orientation, size or spacing; this is one of them.`,
    });
  }
  reportGeometry({ slices, steps, stepMm, tilt, even }, problems);
  return {
    uid: first.seriesUid,
    studyUid: first.studyUid,
    frameOfReferenceUid: first.frameOfReferenceUid,
    description: first.description,
    modality: 'CT',
    slices,
    rows: first.rows,
    columns: first.columns,
    rowSpacing: first.rowSpacing,
    columnSpacing: first.columnSpacing,
    orientation,
    positions,
    affine,
    extents: even ? undefined : sliceExtents(positions.map((position) => dot(position, normal))),
    tiltDegrees: tilt,
    stepMm,
    problems,
  };
}

function cross3(o: Orientation): Vector3 {
  return cross([o[0], o[1], o[2]], [o[3], o[4], o[5]]);
}

function superiorNormal(orientation: Orientation): Vector3 {
  const normal = normalize(cross3(orientation));
  return normal[2] < 0 ? scale(normal, -1) : normal;
}

/** Inferior to superior; of slices in one place the first acquired one stays. */
function sortAndDropDuplicates(group: readonly DicomSlice[], normal: Vector3, problems: DicomProblem[]): DicomSlice[] {
  const sorted = group
    .map((slice) => ({ slice, offset: dot(slice.position, normal) }))
    .sort((a, b) => a.offset - b.offset || acquired(a.slice, b.slice));
  const places: { offset: number; slices: DicomSlice[] }[] = [];
  for (const { slice, offset } of sorted) {
    const place = places.at(-1);
    if (place !== undefined && offset - place.offset < SAME_MM) place.slices.push(slice);
    else places.push({ offset, slices: [slice] });
  }
  let duplicates = 0;
  let conflicts = 0;
  const kept = places.map(({ slices }) => {
    const [first, ...rest] = slices.sort(acquired);
    for (const other of rest) {
      if (other.pixels.crc === first!.pixels.crc) duplicates++;
      else conflicts++;
    }
    return first!;
  });
  if (duplicates > 0) {
    problems.push({
      code: 'duplicate-slices',
      message: `${count(duplicates, 'slice')} came twice, and one copy was used.`,
    });
  }
  if (conflicts > 0) {
    problems.push({
      code: 'conflicting-slices',
      message: `${count(conflicts, 'slice')} lay where another with other pixels was; the first acquired was used.`,
    });
  }
  const uids = new Set(kept.map((slice) => slice.sopInstanceUid));
  if (uids.size < kept.length) {
    problems.push({ code: 'repeated-uid', message: 'Slices in different places share one SOP Instance UID.' });
  }
  return kept;
}

function acquired(a: DicomSlice, b: DicomSlice): number {
  return (
    a.acquisitionNumber - b.acquisitionNumber ||
    a.instanceNumber - b.instanceNumber ||
    (a.file < b.file ? -1 : a.file > b.file ? 1 : 0)
  );
}

/** How far, in mm, the worst slice lies from where equal steps between the first and the last would put it. */
function deviation(positions: readonly Vector3[]): number {
  const first = positions[0]!;
  const step = scale(subtract(positions.at(-1)!, first), 1 / Math.max(1, positions.length - 1));
  return positions.reduce(
    (worst, position, k) => Math.max(worst, norm(subtract(subtract(position, first), scale(step, k)))),
    0,
  );
}

interface Geometry {
  readonly slices: readonly DicomSlice[];
  readonly steps: readonly number[];
  readonly stepMm: DicomSeries['stepMm'];
  readonly tilt: number;
  readonly even: boolean;
}

function reportGeometry({ slices, steps, stepMm, tilt, even }: Geometry, problems: DicomProblem[]): void {
  const add = (code: DicomProblemCode, message: string): number => problems.push({ code, message });
  if (slices.length === 1) add('single-slice', 'The series has one slice, whose extent is its thickness.');
  if (tilt > TILT_DEGREES) {
    add(
      'gantry-tilt',
      `The gantry is tilted by ${tilt.toFixed(1)} degrees, kept as shear in the affine; nothing is resampled.`,
    );
  }
  if (!even) {
    const { min, median, max } = stepMm;
    add(
      'uneven-steps',
      `Slice steps run from ${min.toFixed(2)} to ${max.toFixed(2)} mm (median ${median.toFixed(2)}); volumes use each slice's true extent.`,
    );
  }
  const gaps = steps.map((step) => step / stepMm.median).filter((ratio) => ratio > 1.5 && isNearlyWhole(ratio));
  if (gaps.length > 0) {
    const missing = gaps.reduce((sum, ratio) => sum + Math.round(ratio) - 1, 0);
    add('missing-slices', `About ${count(missing, 'slice')} seem to be missing between those that are there.`);
  }
  const thicknesses = [...new Set(slices.map((slice) => slice.thickness))];
  if (thicknesses.length > 1) {
    const list = thicknesses.map((value) => (value === undefined ? 'unknown' : `${value} mm`)).join(', ');
    add('mixed-thickness', `Slices differ in thickness: ${list.slice(0, 200)}.`);
  }
  if (slices.some((slice) => slice.pixels.rescaleAssumed)) {
    add('rescale-assumed', 'Rescale slope or intercept is missing; 1 and 0 were assumed, so values may not be HU.');
  }
}

function isNearlyWhole(ratio: number): boolean {
  return Math.abs(ratio - Math.round(ratio)) < 0.05;
}

function medianOf(ordered: readonly number[]): number | undefined {
  const middle = ordered.length >> 1;
  if (ordered.length === 0) return undefined;
  return ordered.length % 2 === 1 ? ordered[middle] : (ordered[middle - 1]! + ordered[middle]!) / 2;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
