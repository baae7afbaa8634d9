import {
  affineFromDicom,
  cross,
  dot,
  medianOf,
  norm,
  normalize,
  scale,
  sliceExtents,
  subtract,
  tiltDegrees,
} from '../affine.js';
import type { Vector3 } from '../affine.js';
import type { Affine } from '../volume.js';
import { geometryProblems, pixelProblems } from './series-problems.js';
import type { DicomSlice, LossyCompression, Orientation } from './slice.js';

export type DicomProblemCode =
  | 'gantry-tilt'
  | 'uneven-steps'
  | 'missing-slices'
  | 'uncounted-gaps'
  | 'mixed-thickness'
  | 'overlapping-slices'
  | 'shifted-slices'
  | 'mixed-geometry'
  | 'mixed-acquisitions'
  | 'mixed-rescale'
  | 'duplicate-slices'
  | 'conflicting-slices'
  | 'repeated-uid'
  | 'single-slice'
  | 'rescale-assumed'
  | 'monochrome1'
  | 'contrast'
  | 'reformat'
  | 'not-chosen'
  | 'other-series'
  | 'other-studies'
  | 'unreadable-slices'
  | 'lossy-compression'
  | 'rsna-intercept'
  | 'padding'
  | 'clamped-values';

/** Something about a series that its reader should know, and what was done about it, if anything. */
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
  /** Inferior to superior, one for each place. */
  readonly slices: readonly DicomSlice[];
  /** All slices of each place, the one in `slices` first; the others are copies, or conflict with it. */
  readonly places: readonly (readonly DicomSlice[])[];
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
  /** How slices were compressed with loss, now or before: known of a series whose pixels were read. */
  readonly lossy: LossyCompression | undefined;
  readonly problems: readonly DicomProblem[];
}

/** Positions this close are the same; steps that differ by less are equal. */
const SAME_MM = 0.01;
const EVEN_MM = 0.05;

/** Sorts slices into series (and, within one, by orientation, size, spacing and acquisition), the largest one first. */
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
  const all = [...bySeries.values()].flatMap((stacks) =>
    stacks.flatMap((stack) => {
      const passes = splitAcquisitions(stack);
      return passes.map((pass) => describeSeries(pass, stacks.length, passes.length));
    }),
  );
  return all.sort((a, b) => b.slices.length - a.slices.length || (a.uid < b.uid ? -1 : 1));
}

/**
 * Splits slices that were acquired over one another (before and after contrast, say): where the acquisitions' ranges
 * overlap by more than half, they are stacks of their own. Acquisitions side by side stay together.
 */
function splitAcquisitions(stack: readonly DicomSlice[]): (readonly DicomSlice[])[] {
  const byNumber = new Map<number, DicomSlice[]>();
  for (const slice of stack) {
    const pass = byNumber.get(slice.acquisitionNumber);
    if (pass === undefined) byNumber.set(slice.acquisitionNumber, [slice]);
    else pass.push(slice);
  }
  const passes = [...byNumber.values()];
  // Scanners that number every slice are no reason to compare thousands of acquisitions.
  if (passes.length < 2 || passes.length > 20 || passes.some((pass) => pass.length < 3)) return [stack];
  const normal = superiorNormal(stack[0]!.orientation);
  const ranges = passes.map((pass) => {
    const offsets = pass.map(({ position }) => dot(position, normal));
    return { low: Math.min(...offsets), high: Math.max(...offsets) };
  });
  const overlaps = ranges.some((a, i) =>
    ranges.slice(i + 1).some((b) => {
      const shared = Math.min(a.high, b.high) - Math.max(a.low, b.low);
      return shared > 0.5 * Math.min(a.high - a.low, b.high - b.low);
    }),
  );
  return overlaps ? passes : [stack];
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

/** A stack of parallel slices in order, with what is noteworthy about it. */
export function describeSeries(group: readonly DicomSlice[], stacks = 1, passes = 1): DicomSeries {
  const problems: DicomProblem[] = [];
  const { orientation } = group[0]!;
  const normal = superiorNormal(orientation);
  const places = sortIntoPlaces(group, normal);
  const slices = places.map(([slice]) => slice!);
  if (new Set(slices.map((slice) => `${slice.sopInstanceUid}/${slice.frame}`)).size < slices.length) {
    problems.push({ code: 'repeated-uid', message: 'Slices in different places share one SOP Instance UID.' });
  }
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
    median: ordered.length === 0 ? lone : medianOf(ordered),
    max: ordered.at(-1) ?? lone,
  };
  const tilt = tiltDegrees(affine);
  const even = deviation(positions) <= EVEN_MM;
  const offsets = positions.map((position) => dot(position, normal));
  const extents = even
    ? undefined
    : sliceExtents(
        offsets,
        slices.map(({ thickness }) => thickness),
      );
  if (stacks > 1) {
    problems.push({
      code: 'mixed-geometry',
      message: `The series holds ${stacks} stacks of different orientation, size or spacing; this is one of them.`,
    });
  }
  if (passes > 1) {
    problems.push({
      code: 'mixed-acquisitions',
      message: `The series holds ${passes} acquisitions over one another; this is number ${first.acquisitionNumber}, whole and by itself.`,
    });
  }
  problems.push(
    ...geometryProblems({ slices, positions, normal, offsets, extents, steps, stepMm, tilt }),
    ...pixelProblems(slices),
  );
  return {
    uid: first.seriesUid,
    studyUid: first.studyUid,
    frameOfReferenceUid: first.frameOfReferenceUid,
    description: first.description,
    modality: 'CT',
    slices,
    places,
    rows: first.rows,
    columns: first.columns,
    rowSpacing: first.rowSpacing,
    columnSpacing: first.columnSpacing,
    orientation,
    positions,
    affine,
    extents,
    tiltDegrees: tilt,
    stepMm,
    lossy: undefined,
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

/** Inferior to superior; of slices in one place the lossless and first acquired one comes first. */
function sortIntoPlaces(group: readonly DicomSlice[], normal: Vector3): DicomSlice[][] {
  const sorted = group
    .map((slice) => ({ slice, offset: dot(slice.position, normal) }))
    .sort((a, b) => a.offset - b.offset || acquired(a.slice, b.slice));
  const places: { offset: number; slices: DicomSlice[] }[] = [];
  for (const { slice, offset } of sorted) {
    const place = places.at(-1);
    if (place !== undefined && offset - place.offset < SAME_MM) place.slices.push(slice);
    else places.push({ offset, slices: [slice] });
  }
  return places.map(({ slices }) => slices.sort(acquired));
}

function acquired(a: DicomSlice, b: DicomSlice): number {
  return (
    Number(a.pixels.lossy) - Number(b.pixels.lossy) ||
    a.acquisitionNumber - b.acquisitionNumber ||
    a.instanceNumber - b.instanceNumber ||
    (a.file < b.file ? -1 : a.file > b.file ? 1 : a.frame - b.frame)
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
