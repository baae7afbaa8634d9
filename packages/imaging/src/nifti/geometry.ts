import { affineColumn, affineDeterminant, dot, normalize, voxelToPatient } from '../affine.js';
import { ImagingError } from '../imaging-error.js';
import type { Affine } from '../volume.js';
import type { NiftiHeader, NiftiProblem } from './header.js';
import type { FieldReader } from './layout.js';
import { affineFromQuaternion } from './quaternion.js';

type Geometry = Pick<NiftiHeader, 'affine' | 'affineFrom'>;

/** sform and qform that put the far corner of the volume less apart than this (mm) say the same. */
const AGREEMENT_MM = 1;
/** Cosine between axes beyond rounding: 0.1 degree. */
const SHEAR = 1.7e-3;

/**
 * The affine, RAS+ mm: the sform where its code is set and it is invertible, else the qform (whose spacing's sign, qfac,
 * turns the third axis), else the voxel sizes alone; what was passed over or is odd is added to `problems`.
 *
 * @throws ImagingError where there are not even voxel sizes.
 */
export function readGeometry(fields: FieldReader, problems: NiftiProblem[]): Geometry {
  const sform = fields.sformCode > 0 ? sformOf(fields) : undefined;
  const qform = fields.qformCode > 0 ? qformOf(fields) : undefined;
  if (sform && !isUsable(sform)) {
    problems.push({ code: 'unusable-affine', message: 'The sform is marked as set but is singular; it was not used.' });
  }
  if (qform && !isUsable(qform)) {
    problems.push({ code: 'unusable-affine', message: 'The qform is marked as set but is singular; it was not used.' });
  }
  if (sform && isUsable(sform)) {
    if (qform && isUsable(qform)) compare(sform, qform, fields, problems);
    return checkShear({ affine: sform, affineFrom: 'sform' }, problems);
  }
  if (qform && isUsable(qform)) return { affine: qform, affineFrom: 'qform' };
  const spacing = spacingOf(fields);
  const affine: Affine = [
    [spacing[0], 0, 0, 0],
    [0, spacing[1], 0, 0],
    [0, 0, spacing[2], 0],
    [0, 0, 0, 1],
  ];
  if (!isUsable(affine)) {
    throw new ImagingError(
      'bad-nifti',
      'Expected an affine or voxel sizes above 0 mm in the NIfTI header, found neither.',
    );
  }
  problems.push({
    code: 'affine-from-pixdim',
    message: 'The header has voxel sizes but no orientation: left, right, front and back are a guess.',
  });
  return { affine, affineFrom: 'pixdim' };
}

/** Factor from the file's length unit to mm; an unknown unit is taken for mm, as everywhere. */
function millimetres({ units }: FieldReader): number {
  const unit = units & 7;
  return unit === 1 ? 1000 : unit === 3 ? 0.001 : 1;
}

function spacingOf(fields: FieldReader): [number, number, number] {
  const unit = millimetres(fields);
  return [1, 2, 3].map((axis) => Math.abs(fields.pixdim(axis)) * unit) as [number, number, number];
}

function sformOf(fields: FieldReader): Affine {
  const unit = millimetres(fields);
  const row = (axis: number): [number, number, number, number] =>
    [0, 1, 2, 3].map((column) => fields.srow(4 * axis + column) * unit) as [number, number, number, number];
  return [row(0), row(1), row(2), [0, 0, 0, 1]];
}

function qformOf(fields: FieldReader): Affine {
  const unit = millimetres(fields);
  return affineFromQuaternion({
    quaternion: [fields.quatern(0), fields.quatern(1), fields.quatern(2)],
    offset: [fields.quatern(3) * unit, fields.quatern(4) * unit, fields.quatern(5) * unit],
    spacing: spacingOf(fields),
    handedness: fields.pixdim(0) < 0 ? -1 : 1,
  });
}

function isUsable(affine: Affine): boolean {
  const determinant = Math.abs(affineDeterminant(affine));
  return affine.flat().every(Number.isFinite) && determinant > 1e-12 && determinant < 1e12;
}

/** Notes where sform and qform put the corners of the volume in different places. */
function compare(sform: Affine, qform: Affine, { dim }: FieldReader, problems: NiftiProblem[]): void {
  let apart = 0;
  for (let corner = 0; corner < 8; corner++) {
    const at = [0, 1, 2].map((axis) => ((corner >> axis) & 1) * (Math.max(1, dim(axis + 1)) - 1));
    const [a, b] = [sform, qform].map((affine) => voxelToPatient(affine, at[0]!, at[1]!, at[2]!));
    apart = Math.max(apart, Math.hypot(...a!.map((value, axis) => value - b![axis]!)));
  }
  if (apart < AGREEMENT_MM) return;
  problems.push({
    code: 'affine-disagreement',
    message: `sform and qform place the volume up to ${apart.toFixed(1)} mm apart; the sform was used.`,
  });
}

function checkShear(geometry: Geometry, problems: NiftiProblem[]): Geometry {
  const [i, j, k] = ([0, 1, 2] as const).map((axis) => normalize(affineColumn(geometry.affine, axis)));
  const worst = Math.max(Math.abs(dot(i!, j!)), Math.abs(dot(i!, k!)), Math.abs(dot(j!, k!)));
  if (worst > SHEAR) {
    const degrees = (Math.asin(Math.min(1, worst)) * 180) / Math.PI;
    problems.push({
      code: 'sheared-affine',
      message: `The axes are ${degrees.toFixed(1)} degrees from right angles, as under a gantry tilt; nothing is resampled.`,
    });
  }
  return geometry;
}
