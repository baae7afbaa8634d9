import {
  fromCanonical,
  spacingOf,
  toCanonical,
  voxelToPatient,
  type Affine,
  type NiftiHeader,
  type Volume,
} from '@aaunet/imaging';
import { readNiftiFile } from '@aaunet/imaging/node';

/** A volume of a NIfTI file and where its geometry is from. */
export interface NiftiInput {
  readonly volume: Volume;
  readonly affineFrom: NiftiHeader['affineFrom'];
}

/** Takes note of what was odd, or mended. */
export interface NoteTaker {
  add(level: 'found' | 'fixed' | 'warning', message: string): void;
}

const NOBODY: NoteTaker = { add: () => undefined };

/** Reads a NIfTI file, taking note of what is odd about its header. */
export async function readInput(path: string, what: string, notes = NOBODY): Promise<NiftiInput> {
  const { volume, header } = await readNiftiFile(path);
  for (const { message } of header.problems) notes.add('warning', `${what}: ${message}`);
  return { volume, affineFrom: header.affineFrom };
}

/** Corners closer than this (mm) are one place, whatever the rounding of two writers. */
const SAME_MM = 0.1;

/**
 * The mask in the voxel order of its image. The two must have the same size and lie in the same place to half a voxel;
 * a mask whose axes are stored in another order or direction is reordered exactly, one without any orientation is taken
 * voxel by voxel. Nothing is resampled.
 *
 * @throws Error of one sentence where they do not fit
 */
export function alignMask(image: NiftiInput, mask: NiftiInput, notes = NOBODY): { image: Volume; mask: Volume } {
  const [scan, marks] = [image.volume, mask.volume];
  const same = sizeOf(scan) === sizeOf(marks);
  if (same && hasNoOrientation(mask) !== hasNoOrientation(image)) {
    const poor = hasNoOrientation(mask) ? 'mask' : 'image';
    notes.add('fixed', `The ${poor}'s header has no orientation; it was taken to lie where the other one does.`);
    const affine = poor === 'mask' ? scan.affine : marks.affine;
    return { image: { ...scan, affine }, mask: { ...marks, affine } };
  }
  const tolerance = Math.min(...spacingOf(scan.affine)) / 2;
  const apart = same ? largestDistance(scan, marks.affine) : Infinity;
  if (apart <= tolerance) {
    if (apart > SAME_MM) notes.add('found', `Image and mask lie ${apart.toFixed(2)} mm apart, less than half a voxel.`);
    return { image: scan, mask: marks };
  }
  const canonical = toCanonical(scan);
  const other = toCanonical(marks).volume;
  const fits = sizeOf(canonical.volume) === sizeOf(other);
  if (fits && largestDistance(canonical.volume, other.affine) <= tolerance) {
    notes.add('fixed', "The mask's axes are stored in another order or direction than the image's; it was reordered.");
    return { image: scan, mask: fromCanonical(other.data, canonical.map) };
  }
  if (same && isArrayDefault(marks.affine, scan.affine)) {
    notes.add('fixed', "The mask lost its image's origin and directions; it was laid on the image voxel by voxel.");
    return { image: scan, mask: { ...marks, affine: scan.affine } };
  }
  if (!fits) throw new Error(`Expected a mask of ${sizeOf(scan)} voxels like its image, found ${sizeOf(marks)}.`);
  const distance = Math.min(apart, largestDistance(canonical.volume, other.affine));
  throw new Error(
    `Expected a mask that lies where its image does (to ${tolerance.toFixed(2)} mm), found corners ${distance.toFixed(1)} mm apart.`,
  );
}

const sizeOf = ({ columns, rows, slices }: Volume): string => `${columns} x ${rows} x ${slices}`;

/** Headers that only say the voxel size, or are the identity that array libraries write by default. */
export function hasNoOrientation({ volume: { affine }, affineFrom }: NiftiInput): boolean {
  return affineFrom === 'pixdim' || affine.flat().every((value, index) => value === (index % 5 === 0 ? 1 : 0));
}

/**
 * Whether an affine is what array libraries write when they are told the voxel size at most: origin 0, axes along RAS+ or
 * LPS+, spacing 1 or the image's.
 */
function isArrayDefault(affine: Affine, image: Affine): boolean {
  const [x, y, z] = [affine[0][0], affine[1][1], affine[2][2]];
  const isAlongAxes = affine.every((row, i) => row.every((value, j) => i === j || Math.abs(value) < 1e-6));
  if (!isAlongAxes || z <= 0 || x * y <= 0) return false;
  const spacing = spacingOf(affine);
  const wanted = spacingOf(image);
  return (
    spacing.every((value) => value === 1) || spacing.every((value, axis) => Math.abs(value / wanted[axis]! - 1) < 0.01)
  );
}

/** How far apart (mm) two affines place the corners of a volume, at most. */
function largestDistance(volume: Volume, other: Affine): number {
  let largest = 0;
  for (let corner = 0; corner < 8; corner++) {
    const at = [volume.columns, volume.rows, volume.slices].map((size, axis) => ((corner >> axis) & 1) * (size - 1));
    const place = voxelToPatient(volume.affine, at[0]!, at[1]!, at[2]!);
    const there = voxelToPatient(other, at[0]!, at[1]!, at[2]!);
    largest = Math.max(largest, Math.hypot(...place.map((value, axis) => value - there[axis]!)));
  }
  return largest;
}
