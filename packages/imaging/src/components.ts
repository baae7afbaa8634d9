import { ImagingError } from './imaging-error.js';
import type { Volume } from './volume.js';

/** Connected parts of a mask, numbered from 1 in the order of their first voxels. */
export interface Components {
  /** 0 outside, else the component's number, in the order of the volume's voxels. */
  readonly ids: Int32Array;
  /** Voxels of each component; index 0 is component 1. */
  readonly sizes: readonly number[];
}

/**
 * Connected components of the voxels whose label `isInside`: voxels that share a face, an edge or a corner (26 neighbours)
 * are connected.
 */
export function connectedComponents(
  volume: Pick<Volume<Uint8Array>, 'data' | 'slices' | 'rows' | 'columns'>,
  isInside: (label: number) => boolean,
): Components {
  const { data, slices, rows, columns } = volume;
  if (data.length !== slices * rows * columns) {
    throw new ImagingError('bad-argument', `Expected ${slices} x ${rows} x ${columns} voxels, found ${data.length}.`);
  }
  const inside = Array.from({ length: 256 }, (_, label) => isInside(label));
  const ids = new Int32Array(data.length);
  const sizes: number[] = [];
  const stack: number[] = [];
  for (let seed = 0; seed < data.length; seed++) {
    if (!inside[data[seed]!] || ids[seed] !== 0) continue;
    const id = sizes.length + 1;
    let size = 0;
    ids[seed] = id;
    stack.push(seed);
    for (let voxel = stack.pop(); voxel !== undefined; voxel = stack.pop()) {
      size++;
      const i = voxel % columns;
      const j = Math.floor(voxel / columns) % rows;
      const k = Math.floor(voxel / (columns * rows));
      for (let z = Math.max(0, k - 1); z <= Math.min(slices - 1, k + 1); z++) {
        for (let y = Math.max(0, j - 1); y <= Math.min(rows - 1, j + 1); y++) {
          const row = (z * rows + y) * columns;
          for (let x = Math.max(0, i - 1); x <= Math.min(columns - 1, i + 1); x++) {
            if (ids[row + x] === 0 && inside[data[row + x]!]) {
              ids[row + x] = id;
              stack.push(row + x);
            }
          }
        }
      }
    }
    sizes.push(size);
  }
  return { ids, sizes };
}
