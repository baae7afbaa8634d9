import { connectedComponents, spacingOf, voxelVolumesMl, type Volume } from '@aaunet/imaging';

/** What radiologists measure of a lesion. */
export interface LesionMeasures {
  readonly volumeMl: number;
  /** Largest distance in an axial slice between two corners of marked voxels, mm, and the slice (from 1). */
  readonly diameterMm: number;
  readonly diameterSlice: number;
  /** A · B · C / 2 in mL, see `abcOver2Ml`. */
  readonly abcOver2Ml: number;
}

type Point = readonly [x: number, y: number];

const round = (value: number, digits: number): number => Number(value.toFixed(digits));

/** Corners of the convex hull of some points (Andrew's monotone chain). */
function convexHull(points: readonly Point[]): Point[] {
  const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const half = (ordered: readonly Point[]): Point[] => {
    const chain: Point[] = [];
    for (const point of ordered) {
      while (chain.length >= 2) {
        const [a, b] = [chain.at(-2)!, chain.at(-1)!];
        if ((b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0]) > 0) break;
        chain.pop();
      }
      chain.push(point);
    }
    chain.pop();
    return chain;
  };
  return [...half(sorted), ...half(sorted.toReversed())];
}

/** Largest extent of a set of points, and its extent at right angles to that. */
function extents(points: readonly Point[]): { along: number; across: number } {
  const hull = convexHull(points);
  let along = 0;
  let direction: Point = [1, 0];
  for (const a of hull) {
    for (const b of hull) {
      const length = Math.hypot(b[0] - a[0], b[1] - a[1]);
      if (length > along) [along, direction] = [length, [(b[0] - a[0]) / length, (b[1] - a[1]) / length]];
    }
  }
  const heights = hull.map(([x, y]) => x * -direction[1] + y * direction[0]);
  return { along, across: hull.length === 0 ? 0 : Math.max(...heights) - Math.min(...heights) };
}

/** Corners in mm of a slice's voxels of one lesion: the first and the last of each row are enough. */
function cornersOf(ids: Int32Array, id: number, slice: number, { rows, columns, affine }: Volume): Point[] {
  const [columnMm, rowMm] = spacingOf(affine);
  const points: Point[] = [];
  for (let j = 0; j < rows; j++) {
    const start = (slice * rows + j) * columns;
    const row = ids.subarray(start, start + columns);
    const [first, last] = [row.indexOf(id), row.lastIndexOf(id)];
    if (first < 0) continue;
    for (const i of [first, last + 1]) for (const y of [j, j + 1]) points.push([i * columnMm, y * rowMm]);
  }
  return points;
}

/**
 * Counts a type's lesions (connected voxels, 26 neighbours) and measures the one of the largest volume. ABC/2 (Kothari et
 * al., Stroke 1996): A the largest diameter in the slice of the largest area, B at right angles to it in that slice, C the
 * extents of the slices, whole where the area is more than 75 % of that slice's, half from 25 % to 75 %, none below.
 */
export function measureLesions(
  labelMap: Volume<Uint8Array>,
  scan: Volume,
  label: number,
): { lesions: number; largestLesion: LesionMeasures | null } {
  if (!labelMap.data.includes(label)) return { lesions: 0, largestLesion: null };
  const { ids, sizes } = connectedComponents(labelMap, (other) => other === label);
  const plane = scan.rows * scan.columns;
  const mlPerVoxel = voxelVolumesMl(scan);
  const volumes = new Float64Array(sizes.length);
  ids.forEach((id, voxel) => {
    if (id > 0) volumes[id - 1]! += mlPerVoxel[Math.floor(voxel / plane)]!;
  });
  const largest = volumes.reduce((best, volume, index) => (volume > volumes[best]! ? index : best), 0) + 1;
  const areas = Array.from({ length: scan.slices }, (_, k) =>
    ids.subarray(k * plane, (k + 1) * plane).reduce((count, id) => count + (id === largest ? 1 : 0), 0),
  );
  const widest = areas.indexOf(Math.max(...areas));
  const perSlice = areas.map((area, k) =>
    area > 0 ? extents(cornersOf(ids, largest, k, scan)) : { along: 0, across: 0 },
  );
  const diameterSlice = perSlice.reduce((best, { along }, k) => (along > perSlice[best]!.along ? k : best), 0);
  const { along, across } = perSlice[widest]!;
  const [columnMm, rowMm] = spacingOf(scan.affine);
  const height = areas.reduce((sum, area, k) => {
    const share = area / areas[widest]!;
    const extentMm = (1000 * mlPerVoxel[k]!) / (columnMm * rowMm);
    return sum + (share > 0.75 ? extentMm : share >= 0.25 ? extentMm / 2 : 0);
  }, 0);
  return {
    lesions: sizes.length,
    largestLesion: {
      volumeMl: round(volumes[largest - 1]!, 4),
      diameterMm: round(perSlice[diameterSlice]!.along, 2),
      diameterSlice: diameterSlice + 1,
      abcOver2Ml: round((along * across * height) / 2000, 4),
    },
  };
}
