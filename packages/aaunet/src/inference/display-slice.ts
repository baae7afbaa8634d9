import { type Affine, type Volume, affineColumn, spacingOf } from '@aaunet/imaging';

/** How a volume's slices are shown as radiologists do: anterior up, the patient's right on the left. */
export interface DisplayGeometry {
  /** Size of a slice in mm across and down the picture. */
  readonly widthMm: number;
  readonly heightMm: number;
  /** Index within the slice at the place (u, v) of the picture, both 0 to 1 from the top left, in fractional pixels. */
  readonly place: (u: number, v: number) => readonly [column: number, row: number];
  /** Slice indices from inferior to superior. */
  readonly order: readonly number[];
}

/** The way to show a volume whose slices are roughly axial, from the signs of its affine (RAS+). */
export function displayGeometry({
  affine,
  columns,
  rows,
  slices,
}: Pick<Volume, 'affine' | 'columns' | 'rows' | 'slices'>): DisplayGeometry {
  const [acrossX, acrossY] = affineColumn(affine, 0);
  const [downX, downY] = affineColumn(affine, 1);
  const [columnSpacing, rowSpacing] = spacingOf(affine);
  const isTransposed = Math.abs(acrossY) > Math.abs(acrossX);
  // The picture's x axis runs to the patient's left (-x in RAS+), its y axis to posterior (-y).
  const flipX = (isTransposed ? downX : acrossX) > 0;
  const flipY = (isTransposed ? acrossY : downY) > 0;
  const place = (u: number, v: number): readonly [number, number] => {
    const x = flipX ? 1 - u : u;
    const y = flipY ? 1 - v : v;
    return isTransposed ? [y * columns - 0.5, x * rows - 0.5] : [x * columns - 0.5, y * rows - 0.5];
  };
  const order = Array.from({ length: slices }, (_, k) => (stepsUp(affine) ? k : slices - 1 - k));
  const width = columns * columnSpacing;
  const height = rows * rowSpacing;
  return { widthMm: isTransposed ? height : width, heightMm: isTransposed ? width : height, place, order };
}

/** Darker than any tissue: what is above belongs to the head, or to what it lies on. */
const AIR_LIMIT = -300;
/** Part of the picture that is left around the head. */
const HEAD_MARGIN = 0.02;

/**
 * The same way to show a scan, cut to the part of the picture in which any slice has more than air or a label: heads fill
 * their tiles, and nothing that is there is left out.
 */
export function withoutAir(
  geometry: DisplayGeometry,
  { data, rows, columns }: Volume,
  labelMap?: Volume<Uint8Array>,
): DisplayGeometry {
  const shown = new Uint8Array(rows * columns);
  for (let voxel = 0; voxel < data.length; voxel++) {
    if (data[voxel]! > AIR_LIMIT || (labelMap && labelMap.data[voxel]! > 0)) shown[voxel % shown.length] = 1;
  }
  let [left, right, top, bottom] = [1, 0, 1, 0];
  const steps = Math.max(rows, columns);
  for (let y = 0; y < steps; y++) {
    for (let x = 0; x < steps; x++) {
      const [u, v] = [(x + 0.5) / steps, (y + 0.5) / steps];
      const [i, j] = geometry.place(u, v);
      if (shown[Math.round(j) * columns + Math.round(i)] !== 1) continue;
      [left, right] = [Math.min(left, u - 0.5 / steps), Math.max(right, u + 0.5 / steps)];
      [top, bottom] = [Math.min(top, v - 0.5 / steps), Math.max(bottom, v + 0.5 / steps)];
    }
  }
  if (right <= left || bottom <= top) return geometry;
  [left, right] = [Math.max(0, left - HEAD_MARGIN), Math.min(1, right + HEAD_MARGIN)];
  [top, bottom] = [Math.max(0, top - HEAD_MARGIN), Math.min(1, bottom + HEAD_MARGIN)];
  return {
    widthMm: geometry.widthMm * (right - left),
    heightMm: geometry.heightMm * (bottom - top),
    place: (u, v) => geometry.place(left + u * (right - left), top + v * (bottom - top)),
    order: geometry.order,
  };
}

function stepsUp(affine: Affine): boolean {
  return affineColumn(affine, 2)[2] >= 0;
}

/** Values of one slice in a picture of width x height pixels, and how it was scaled. */
interface Sampling {
  readonly volume: Volume;
  readonly slice: number;
  readonly geometry: DisplayGeometry;
  readonly width: number;
  readonly height: number;
}

/** Calls `take` with the source pixels (clamped to the slice) and weights that make up a picture's pixel. */
function forEachSource(
  { volume, geometry, width, height }: Sampling,
  x: number,
  y: number,
  take: (index: number, weight: number) => void,
): void {
  const { columns, rows } = volume;
  const [i0, j0] = geometry.place(x / width, y / height);
  const [i1, j1] = geometry.place((x + 1) / width, (y + 1) / height);
  const at = (i: number, j: number): number =>
    Math.min(rows - 1, Math.max(0, j)) * columns + Math.min(columns - 1, Math.max(0, i));
  const [iCenter, jCenter] = [(i0 + i1) / 2, (j0 + j1) / 2];
  if (Math.abs(i1 - i0) > 1 || Math.abs(j1 - j0) > 1) {
    // Shrinking: all source pixels whose centre lies in this pixel, so that nothing small is skipped.
    const [iLow, iHigh] = [Math.ceil(Math.min(i0, i1)), Math.ceil(Math.max(i0, i1))];
    const [jLow, jHigh] = [Math.ceil(Math.min(j0, j1)), Math.ceil(Math.max(j0, j1))];
    const count = Math.max(1, iHigh - iLow) * Math.max(1, jHigh - jLow);
    for (let j = jLow; j < Math.max(jHigh, jLow + 1); j++) {
      for (let i = iLow; i < Math.max(iHigh, iLow + 1); i++) take(at(i, j), 1 / count);
    }
    return;
  }
  const [i, j] = [Math.floor(iCenter), Math.floor(jCenter)];
  const [fi, fj] = [iCenter - i, jCenter - j];
  take(at(i, j), (1 - fi) * (1 - fj));
  take(at(i + 1, j), fi * (1 - fj));
  take(at(i, j + 1), (1 - fi) * fj);
  take(at(i + 1, j + 1), fi * fj);
}

/** A slice as grey values 0 to 255 under a window of `center` and `width` HU, averaged or interpolated to the picture's size. */
export function greySlice(sampling: Sampling, window: { readonly center: number; readonly width: number }): Uint8Array {
  const { volume, slice, width, height } = sampling;
  const offset = slice * volume.rows * volume.columns;
  const low = window.center - window.width / 2;
  const grey = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let value = 0;
      forEachSource(sampling, x, y, (index, weight) => {
        // Window first, average then: as eyes do; otherwise bone would bleed into brain.
        const hu = volume.data[offset + index]!;
        value += weight * Math.min(1, Math.max(0, (hu - low) / window.width));
      });
      grey[y * width + x] = Math.round(value * 255);
    }
  }
  return grey;
}

/**
 * Where a label is in the picture (1) or not (0): outlines are smooth where the picture is larger than the slice, and no
 * label is lost where it is smaller.
 */
export function maskSlice(sampling: Sampling, label: number): Uint8Array {
  const { volume, slice, width, height } = sampling;
  const offset = slice * volume.rows * volume.columns;
  const isShrunk = volume.columns > width || volume.rows > height;
  const mask = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let share = 0;
      forEachSource(sampling, x, y, (index, weight) => {
        if (volume.data[offset + index] === label) share += weight;
      });
      mask[y * width + x] = (isShrunk ? share > 0 : share >= 0.5) ? 1 : 0;
    }
  }
  return mask;
}
