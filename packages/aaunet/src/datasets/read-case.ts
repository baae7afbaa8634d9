import {
  CLASS_COUNT,
  flipLpsRas,
  sliceExtents,
  sliceNormal,
  toCanonical,
  toHuVolume,
  toLabelVolume,
  type Volume,
} from '@aaunet/imaging';

import { alignMask, readInput } from './align-mask.js';
import type { Dataset, DatasetCase, SlicePlaces } from './dataset.js';

/** A scan and its labels on one grid. */
export interface LabelledScan {
  readonly image: Volume<Int16Array>;
  readonly labels: Volume<Uint8Array>;
}

/** Labels that a data set's label maps may hold, background and (last) unknown type included. */
export function labelCount({ hasUnknown }: Pick<Dataset, 'hasUnknown'>): number {
  return hasUnknown ? CLASS_COUNT + 1 : CLASS_COUNT;
}

/**
 * A case in canonical orientation at its own size, its slices where the data set says that they lie.
 *
 * @param classes labels that the label map may hold, from 0 on.
 * @throws Error that names the file if image and label map do not lie in one place, or a label is unknown.
 */
export async function readCase(entry: DatasetCase, classes: number): Promise<LabelledScan> {
  const place = <V extends Volume>(volume: V): V => inTruePlaces(volume, entry.name, entry);
  const stored = await readAligned(entry);
  const image = toCanonical(place(toHuVolume(stored.image))).volume;
  const labels = toCanonical(place(toLabelVolume(stored.mask, classes))).volume;
  return { image, labels };
}

async function readAligned({ image, label }: DatasetCase): Promise<ReturnType<typeof alignMask>> {
  const [scan, mask] = [await readInput(image, 'image'), await readInput(label, 'mask')];
  try {
    return alignMask(scan, mask);
  } catch (error) {
    throw new Error(`${label}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * The volume with the places and extents of its slices, where the data set lists them because NIfTI cannot say them.
 *
 * @throws Error that names the case if they are not one for each slice
 */
export function inTruePlaces<V extends Volume>(volume: V, name: string, places: SlicePlaces): V {
  const { slicePositions: positions, sliceExtents: known } = places;
  if (!positions) return volume;
  for (const [key, list] of Object.entries({ slicePositions: positions, sliceExtents: known })) {
    if (list && list.length !== volume.slices) {
      throw new Error(`Expected ${volume.slices} "${key}" of case ${name} in dataset.json, found ${list.length}.`);
    }
  }
  const normal = sliceNormal(volume.affine);
  const offsets = positions.map((position) => {
    const [x, y, z] = flipLpsRas(position);
    return x * normal[0] + y * normal[1] + z * normal[2];
  });
  return { ...volume, positions, extents: known ?? sliceExtents(offsets) };
}
