/** Two masks for tests of metrics, defined by formulas so that other programs can make them too. */
export const MASK_SIZE = { slices: 7, rows: 18, columns: 20 } as const;

type Place = readonly [i: number, j: number, k: number];

function isInEllipsoid([i, j, k]: Place, center: Place, radii: Place): boolean {
  return ((i - center[0]) / radii[0]) ** 2 + ((j - center[1]) / radii[1]) ** 2 + ((k - center[2]) / radii[2]) ** 2 <= 1;
}

function maskOf(isInside: (place: Place) => boolean): Uint8Array {
  const { slices, rows, columns } = MASK_SIZE;
  return Uint8Array.from({ length: slices * rows * columns }, (_, voxel) => {
    const place: Place = [voxel % columns, Math.floor(voxel / columns) % rows, Math.floor(voxel / (columns * rows))];
    return isInside(place) ? 1 : 0;
  });
}

/** A large and a small ellipsoid. */
export const TRUE_MASK = maskOf(
  (place) => isInEllipsoid(place, [9, 8, 3], [6, 5, 2.2]) || isInEllipsoid(place, [17, 15, 5], [1.5, 1.5, 1]),
);

/** An ellipsoid beside the large one, and single voxels here and there. */
export const PREDICTED_MASK = maskOf(
  (place) =>
    isInEllipsoid(place, [10, 7.5, 4.2], [5, 6, 1.9]) || (place[0] * 7 + place[1] * 13 + place[2] * 29) % 397 === 5,
);
