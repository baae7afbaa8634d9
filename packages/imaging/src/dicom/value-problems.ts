import { toInt16 } from '../round.js';
import type { DicomProblem } from './series.js';
import type { DicomSlice } from './slice.js';

/** Part of a volume that must have wrapped around before the intercept is taken for wrong: air is a third and more. */
const WRAPPED_SHARE = 0.02;
/** Padding above this would look like tissue or bone; air is at -1000 HU. */
const HIGHEST_AIR = -800;
const AIR = -1000;
const RSNA_SHIFT = 1000;
const RSNA_MODULUS = 4096;

/**
 * Finds, and with `repair` mends in place, values that are known to be wrong whatever their files say:
 *
 * - Twelve unsigned bits with an intercept near 0 cannot hold air at -1000 HU; some exporters (RSNA 2019 has such files)
 *   let it wrap around to 3096 and above instead. HU are then ((stored + 1000) mod 4096) - 1000.
 * - Padding outside of the scanned field whose value would look like tissue; air is put there.
 */
export function valueProblems(
  data: Int16Array,
  slices: readonly DicomSlice[],
  size: number,
  repair: boolean,
): DicomProblem[] {
  return [...interceptProblem(data, slices, size, repair), ...paddingProblem(data, slices, size, repair)];
}

function isSuspect({ pixels }: DicomSlice): boolean {
  const { bitsStored, signed, slope, intercept } = pixels;
  return bitsStored === 12 && !signed && slope === 1 && Number.isInteger(intercept) && intercept > -100;
}

function interceptProblem(
  data: Int16Array,
  slices: readonly DicomSlice[],
  size: number,
  repair: boolean,
): DicomProblem[] {
  const suspects = slices.map((slice, k) => ({ slice, k })).filter(({ slice }) => isSuspect(slice));
  if (suspects.length === 0) return [];
  const first = RSNA_MODULUS - RSNA_SHIFT;
  let wrapped = 0;
  for (const { slice, k } of suspects) {
    const limit = first + slice.pixels.intercept;
    for (let index = k * size; index < (k + 1) * size; index++) if (data[index]! >= limit) wrapped++;
  }
  const share = wrapped / (suspects.length * size);
  if (share < WRAPPED_SHARE) return [];
  if (repair) {
    for (const { slice, k } of suspects) {
      const { intercept } = slice.pixels;
      for (let index = k * size; index < (k + 1) * size; index++) {
        const stored = data[index]! - intercept;
        data[index] = ((stored + RSNA_SHIFT) % RSNA_MODULUS) - RSNA_SHIFT;
      }
    }
  }
  const what = `${(share * 100).toFixed(0)} % of the voxels are ${first} and more: air that has wrapped around in 12 unsigned bits, as in files of RSNA 2019`;
  return [
    {
      code: 'rsna-intercept',
      message: repair
        ? `The rescale intercept is wrong (${what}); HU were computed with -1000 instead. --no-repair leaves them.`
        : `The rescale intercept is wrong (${what}); nothing was repaired.`,
    },
  ];
}

function paddingProblem(
  data: Int16Array,
  slices: readonly DicomSlice[],
  size: number,
  repair: boolean,
): DicomProblem[] {
  let padded = 0;
  let value = 0;
  slices.forEach(({ pixels }, k) => {
    if (pixels.padding === undefined) return;
    const hu = toInt16(pixels.padding * pixels.slope + pixels.intercept);
    // What is repeated only inside of the head is no padding: the corner tells.
    if (hu <= HIGHEST_AIR || data[k * size] !== hu) return;
    value = hu;
    for (let index = k * size; index < (k + 1) * size; index++) {
      if (data[index] !== hu) continue;
      padded++;
      if (repair) data[index] = AIR;
    }
  });
  if (padded === 0) return [];
  const share = ((100 * padded) / data.length).toFixed(1);
  return [
    {
      code: 'padding',
      message: `${share} % of the voxels are padding that would be ${value} HU, like tissue; ${repair ? `air (${AIR} HU) was put there. --no-repair leaves it` : 'nothing was repaired'}.`,
    },
  ];
}
