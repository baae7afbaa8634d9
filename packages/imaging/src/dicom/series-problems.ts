import { count } from '../count.js';
import { dot, norm, scale, subtract, type Vector3 } from '../affine.js';
import type { DicomProblem, DicomProblemCode, DicomSeries } from './series.js';
import type { DicomSlice } from './slice.js';

const TILT_DEGREES = 0.1;
/** Slices that overlap by less are taken for rounding. */
const OVERLAP_MM = 0.1;
const SHIFT_MM = 0.5;
/** What rounding leaves between extents that touch. */
const UNCOUNTED_MM = 1e-6;

interface Geometry {
  readonly slices: readonly DicomSlice[];
  readonly positions: readonly Vector3[];
  readonly normal: Vector3;
  /** Of the positions along the normal, mm, and what each slice stands for where steps are uneven. */
  readonly offsets: readonly number[];
  readonly extents: readonly number[] | undefined;
  /** Between neighbouring positions, mm. */
  readonly steps: readonly number[];
  readonly stepMm: DicomSeries['stepMm'];
  readonly tilt: number;
}

/** What is noteworthy about where the slices lie; nothing is resampled because of it. */
export function geometryProblems(geometry: Geometry): DicomProblem[] {
  const { slices, positions, normal, offsets, extents, steps, stepMm, tilt } = geometry;
  const problems: DicomProblem[] = [];
  const add = (code: DicomProblemCode, message: string): number => problems.push({ code, message });
  if (slices.length === 1) add('single-slice', 'The series has one slice, whose extent is its thickness.');
  if (tilt > TILT_DEGREES) {
    add(
      'gantry-tilt',
      `The gantry is tilted by ${tilt.toFixed(1)} degrees, kept as shear in the affine; nothing is resampled.`,
    );
  }
  if (extents !== undefined) {
    const { min, median, max } = stepMm;
    add(
      'uneven-steps',
      `Slice steps run from ${min.toFixed(2)} to ${max.toFixed(2)} mm (median ${median.toFixed(2)}); volumes use each slice's true extent.`,
    );
  }
  const gaps = steps.map((step) => step / stepMm.median).filter((ratio) => ratio > 1.5 && isNearlyWhole(ratio));
  if (gaps.length > 0) {
    const missing = gaps.reduce((sum, ratio) => sum + Math.round(ratio) - 1, 0);
    add(
      'missing-slices',
      `About ${count(missing, 'slice')} ${missing === 1 ? 'seems' : 'seem'} to be missing between those that are there.`,
    );
  }
  const uncounted = extents === undefined ? 0 : uncountedMm(offsets, extents);
  if (uncounted > UNCOUNTED_MM) {
    add(
      'uncounted-gaps',
      `${uncounted.toFixed(1)} mm lie in gaps of more than 1.5 times the slices' thickness and their median step; the slices beside them count with their own thickness, so that mL leave out what may be in there.`,
    );
  }
  const shift = lateralShift(positions);
  if (shift > SHIFT_MM) {
    add(
      'shifted-slices',
      `Slices are shifted within their plane by up to ${shift.toFixed(1)} mm against a straight stack; the affine shows the mean, the positions are true.`,
    );
  }
  const thicknesses = [...new Set(slices.map((slice) => slice.thickness))];
  if (thicknesses.length > 1) {
    const list = thicknesses.map((value) => (value === undefined ? 'unknown' : `${value} mm`)).join(', ');
    add('mixed-thickness', `Slices differ in thickness: ${list.slice(0, 200)}.`);
  }
  const overlap = overlapOf(slices, positions, normal);
  if (overlap.slices > 0) {
    add(
      'overlapping-slices',
      `${count(overlap.slices, 'slice')} overlap${overlap.slices === 1 ? 's' : ''} the next one, by up to ${overlap.most.toFixed(2)} mm: thicker than the step; volumes use the step, so nothing is counted twice.`,
    );
  }
  return problems;
}

/** What is noteworthy about how the slices' values are written. */
export function pixelProblems(slices: readonly DicomSlice[]): DicomProblem[] {
  const problems: DicomProblem[] = [];
  if (slices.some((slice) => slice.pixels.rescaleAssumed)) {
    problems.push({
      code: 'rescale-assumed',
      message: 'Rescale slope or intercept is missing; 1 and 0 were assumed, so values may not be HU.',
    });
  }
  const rescalings = new Set(slices.map(({ pixels }) => `${pixels.slope} and ${pixels.intercept}`));
  if (rescalings.size > 1) {
    problems.push({
      code: 'mixed-rescale',
      message: `Slices have ${rescalings.size} different rescale slopes and intercepts; each is used for its own slice.`,
    });
  }
  if (slices.some((slice) => slice.pixels.isMonochrome1)) {
    problems.push({
      code: 'monochrome1',
      message: 'The files ask for an inverted display (MONOCHROME1); HU are as rescaled, not inverted.',
    });
  }
  return problems;
}

/** How far the worst slice lies beside the straight line through the stack, whatever its place along that line, mm. */
function lateralShift(positions: readonly Vector3[]): number {
  const first = positions[0]!;
  const whole = subtract(positions.at(-1)!, first);
  const length = norm(whole);
  if (length === 0) return 0;
  const direction = scale(whole, 1 / length);
  return positions.reduce((worst, position) => {
    const offset = subtract(position, first);
    return Math.max(worst, norm(subtract(offset, scale(direction, dot(offset, direction)))));
  }, 0);
}

/** How much of the stack, from the outer face of its first to that of its last slice, stands for no slice, mm. */
function uncountedMm(offsets: readonly number[], extents: readonly number[]): number {
  const whole = Math.abs(offsets.at(-1)! - offsets[0]!) + (extents[0]! + extents.at(-1)!) / 2;
  return whole - extents.reduce((sum, extent) => sum + extent, 0);
}

function overlapOf(
  slices: readonly DicomSlice[],
  positions: readonly Vector3[],
  normal: Vector3,
): { slices: number; most: number } {
  let found = 0;
  let most = 0;
  for (let k = 0; k + 1 < slices.length; k++) {
    const [low, high] = [slices[k]!.thickness, slices[k + 1]!.thickness];
    if (low === undefined || high === undefined) continue;
    const overlap = (low + high) / 2 - dot(subtract(positions[k + 1]!, positions[k]!), normal);
    if (overlap <= OVERLAP_MM) continue;
    found++;
    most = Math.max(most, overlap);
  }
  return { slices: found, most };
}

function isNearlyWhole(ratio: number): boolean {
  return Math.abs(ratio - Math.round(ratio)) < 0.05;
}
