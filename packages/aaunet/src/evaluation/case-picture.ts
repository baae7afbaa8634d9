import { deflateSync, inflateSync } from 'node:zlib';

import type { Geometry } from '../metrics/surface.js';

/** Slices that a case's picture shows. */
const SHOWN = 3;

/** The slices of a case with most lesion, packed: few kilobytes, so that every case's can be kept until all are scored. */
export interface CasePicture {
  readonly case: string;
  readonly geometry: Geometry;
  /** In the order of the volume, counted from 0. */
  readonly slices: readonly number[];
  /** Deflated HU (int16), truth and prediction (uint8) of those slices. */
  readonly packed: { readonly hu: Uint8Array; readonly truth: Uint8Array; readonly predicted: Uint8Array };
}

/** HU, truth and prediction of slices, row-major. */
export interface PictureSlices {
  readonly hu: Int16Array;
  readonly truth: Uint8Array;
  readonly predicted: Uint8Array;
}

/** Keeps the slices of a case (row-major slices x rows x columns) in which truth and prediction together mark most. */
export function keepCasePicture(
  name: string,
  geometry: Geometry,
  { hu, truth, predicted }: PictureSlices,
): CasePicture {
  const plane = geometry.rows * geometry.columns;
  const marked = new Float64Array(geometry.slices);
  for (let voxel = 0; voxel < truth.length; voxel++) {
    if (truth[voxel] !== 0 || predicted[voxel] !== 0) marked[Math.floor(voxel / plane)]!++;
  }
  const slices = [...marked.keys()]
    .sort((a, b) => marked[b]! - marked[a]!)
    .slice(0, SHOWN)
    .sort((a, b) => a - b);
  const pack = (voxels: Int16Array | Uint8Array): Uint8Array => {
    const parts = slices.map((slice) => voxels.subarray(slice * plane, (slice + 1) * plane));
    const bytes = parts.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength));
    return deflateSync(Buffer.concat(bytes), { level: 1 });
  };
  return { case: name, geometry, slices, packed: { hu: pack(hu), truth: pack(truth), predicted: pack(predicted) } };
}

/** The slices of a kept picture, one after another. */
export function unpackPicture({ packed }: CasePicture): PictureSlices {
  const hu = new Uint8Array(inflateSync(packed.hu));
  return {
    hu: new Int16Array(hu.buffer),
    truth: new Uint8Array(inflateSync(packed.truth)),
    predicted: new Uint8Array(inflateSync(packed.predicted)),
  };
}
