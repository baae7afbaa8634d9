import { affineColumn, toHuVolume, valueRange, type Volume } from '@aaunet/imaging';

import type { Notes } from './importer.js';

/** Air is -1000 HU, and every head CT holds some. */
const AIR = -500;
/** Bone and metal reach 3071 HU in 12 bits, some scanners more. */
const PLAUSIBLE = [-4096, 32000] as const;
/** A head from base to vertex, mm. */
const HEAD_MM = 115;
const THIN_MM = 3;

/**
 * The image as whole HU, once its values are plausible ones.
 *
 * @throws Error of one sentence where the values are no HU: gray levels, stored values without their intercept, a constant
 */
export function checkHu(image: Volume, notes: Notes): Volume<Int16Array> {
  const { min, max } = valueRange(image);
  if (Number.isNaN(min)) throw new Error('Expected HU, found no number at all.');
  if (min === max) throw new Error(`Expected HU, found the same value ${min} everywhere.`);
  if (min >= 0 && max <= 255) {
    throw new Error(
      `Expected HU, found gray levels from ${min} to ${max}: the scan was windowed, and its HU are lost.`,
    );
  }
  const tissue = min > AIR ? medianAbove(image, Math.max(min, 0) + 300) : NaN;
  if (min >= 0 && max > 1500 && tissue > 900 && tissue < 1200) {
    throw new Error(
      `Expected HU, found values from ${min} to ${max} with tissue at ${Math.round(tissue)}: they lack their intercept of about -1024 (kind "pairs" can add it).`,
    );
  }
  if (min > AIR) notes.add('warning', `The smallest value is ${min} HU, so the scan holds no air: it may be clipped.`);
  if (min < PLAUSIBLE[0] || max > PLAUSIBLE[1])
    notes.add('warning', `HU run from ${min} to ${max}, further than CT's.`);
  let bad = 0;
  for (const value of image.data) if (Number.isNaN(value)) bad++;
  if (bad > 0) notes.add('fixed', `${bad} voxels were no number; they became air (-1024 HU).`);
  if (min < -32768 || max > 32767) notes.add('fixed', `Values from ${min} to ${max} were clamped to 16 bits.`);
  return toHuVolume(image);
}

/** Median of a sample of the values above a limit. */
function medianAbove({ data }: Volume, limit: number): number {
  const step = Math.max(1, Math.floor(data.length / 100_000));
  const sample: number[] = [];
  for (let index = 0; index < data.length; index += step) if (data[index]! > limit) sample.push(data[index]!);
  sample.sort((a, b) => a - b);
  return sample[sample.length >> 1] ?? NaN;
}

/** Notes a stack that is too short for its slices, or slices too far apart, which make volumes in mL wrong. */
export function checkExtent(image: Volume, notes: Notes): void {
  const step = Math.hypot(...affineColumn(image.affine, 2));
  const span = step * image.slices;
  if (image.slices > 1 && step < THIN_MM && span < HEAD_MM) {
    notes.add(
      'warning',
      `The header says ${step.toFixed(2)} mm between slices, yet ${image.slices} slices span ${span.toFixed(0)} mm only: slices may be missing, so mL of this case are not to be trusted.`,
    );
  }
  if (step > 12) notes.add('warning', `The header says ${step.toFixed(1)} mm between slices, more than head CT's.`);
}
