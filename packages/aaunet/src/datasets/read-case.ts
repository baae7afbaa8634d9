import {
  flipLpsRas,
  sliceExtents,
  sliceNormal,
  toCanonical,
  toHuVolume,
  toLabelVolume,
  type Volume,
} from '@aaunet/imaging';

import { alignMask, readInput } from './align-mask.js';
import { UNKNOWN_LABEL } from './annotation.js';
import type { Dataset, DatasetCase, SlicePlaces } from './dataset.js';

/** A scan and its labels on one grid. */
export interface LabelledScan {
  readonly image: Volume<Int16Array>;
  readonly labels: Volume<Uint8Array>;
}

/**
 * A case in canonical orientation at its own size, its slices where the data set says that they lie.
 *
 * @throws Error that names the file if image and label map do not lie in one place, or the data set does not list a label.
 */
export async function readCase(entry: DatasetCase, dataset: Pick<Dataset, 'labels'>): Promise<LabelledScan> {
  const place = <V extends Volume>(volume: V): V => inTruePlaces(volume, entry.name, entry);
  const stored = await readAligned(entry);
  const mask = toLabelVolume(stored.mask, UNKNOWN_LABEL + 1);
  checkListed(mask.data, entry.label, dataset.labels);
  const image = toCanonical(place(toHuVolume(stored.image))).volume;
  const labels = toCanonical(place(mask)).volume;
  return { image, labels };
}

/** What no list names would count as background in a training without a word. */
function checkListed(labels: Uint8Array, path: string, listed: readonly number[]): void {
  const isKnown = Uint8Array.from({ length: UNKNOWN_LABEL + 1 }, (_, label) =>
    Number(label === 0 || listed.includes(label)),
  );
  const foreign = labels.find((label) => !isKnown[label]);
  if (foreign !== undefined) {
    throw new Error(
      `${path}: expected the labels that dataset.json lists (${[0, ...listed].join(', ')}), found ${foreign}; list it there, or take it out of the label map.`,
    );
  }
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
