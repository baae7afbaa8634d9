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

/** A case's slices, unpacked. */
export interface PictureSlices {
  readonly hu: Int16Array;
  readonly truth: Uint8Array;
  readonly predicted: Uint8Array;
}

function lesionPixels(truth: Uint8Array, predicted: Uint8Array): number {
  let count = 0;
  for (let pixel = 0; pixel < truth.length; pixel++) if (truth[pixel] !== 0 || predicted[pixel] !== 0) count++;
  return count;
}

/** Keeps the slices of a case in which truth and prediction together mark most. */
export function keepCasePicture(
  name: string,
  geometry: Geometry,
  {
    hu,
    truth,
    predicted,
  }: {
    readonly hu: readonly Int16Array[];
    readonly truth: readonly Uint8Array[];
    readonly predicted: readonly Uint8Array[];
  },
): CasePicture {
  const slices = truth
    .map((_, slice) => ({ slice, marked: lesionPixels(truth[slice]!, predicted[slice]!) }))
    .sort((a, b) => b.marked - a.marked)
    .slice(0, SHOWN)
    .map(({ slice }) => slice)
    .sort((a, b) => a - b);
  const pack = (parts: readonly (Int16Array | Uint8Array)[]): Uint8Array =>
    deflateSync(
      Buffer.concat(
        slices.map((slice) => Buffer.from(parts[slice]!.buffer, parts[slice]!.byteOffset, parts[slice]!.byteLength)),
      ),
      { level: 1 },
    );
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
