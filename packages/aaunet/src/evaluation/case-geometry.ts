import { affineColumn, flipLpsRas, sliceExtents, sliceNormal, toCanonical, type Vector3 } from '@aaunet/imaging';
import { readNiftiFile } from '@aaunet/imaging/node';

import type { DatasetCase } from '../datasets/dataset.js';
import type { Geometry } from '../metrics/surface.js';

/**
 * Where the voxels of a case lie once it is canonical and resized in-plane to size x size, as the slice cache has it: from
 * the label map's header and, where the data set says that slices are uneven, their true places.
 *
 * @throws Error if the data set lists another number of slice positions than the case has slices.
 */
export async function caseGeometry(entry: DatasetCase, size: number): Promise<Geometry> {
  const { volume } = await readNiftiFile(entry.label);
  const positions = entry.slicePositions;
  if (positions && positions.length !== volume.slices) {
    throw new Error(
      `Expected ${volume.slices} "slicePositions" of case ${entry.name} in dataset.json, found ${positions.length}.`,
    );
  }
  const normal = sliceNormal(volume.affine);
  const offsets = positions?.map((position) => {
    const place = flipLpsRas(position);
    return place[0] * normal[0] + place[1] * normal[1] + place[2] * normal[2];
  });
  const { data, ...geometry } = toCanonical({
    ...volume,
    ...(positions && offsets && { positions, extents: sliceExtents(offsets) }),
  }).volume;
  if (data.length === 0) throw new Error(`Expected voxels in ${entry.label}, found none.`);
  return resizedInPlane(geometry, size);
}

/** The geometry of a volume whose slices are resized to size x size: borders stay in place, voxel centres move. */
function resizedInPlane(geometry: Geometry, size: number): Geometry {
  const { affine, rows, columns, positions } = geometry;
  const [wide, high] = [columns / size, rows / size];
  const [across, down, step, origin] = [0, 1, 2, 3].map((column) => affineColumn(affine, column as 0 | 1 | 2 | 3));
  const shift = across!.map(
    (value, axis) => (value * (wide - 1)) / 2 + (down![axis]! * (high - 1)) / 2,
  ) as unknown as Vector3;
  const row = (axis: 0 | 1 | 2): [number, number, number, number] => [
    across![axis] * wide,
    down![axis] * high,
    step![axis],
    origin![axis] + shift[axis],
  ];
  const shiftLps = flipLpsRas(shift);
  return {
    ...geometry,
    rows: size,
    columns: size,
    affine: [row(0), row(1), row(2), [0, 0, 0, 1]],
    ...(positions && {
      positions: positions.map(([x, y, z]): Vector3 => [x + shiftLps[0], y + shiftLps[1], z + shiftLps[2]]),
    }),
  };
}
