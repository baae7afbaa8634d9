/** Throws damaged NIfTI files at the reader: every answer must be a volume or an ImagingError, and memory stay small. */
import { gzipSync } from 'fflate';

import { ImagingError } from '../imaging-error.js';
import { niftiFixture, WRITERS, type NiftiFixture } from './fixture.js';
import { readNifti, readNiftiPair } from './read.js';

export interface FuzzTally {
  readonly runs: number;
  readonly read: number;
  readonly refused: Readonly<Record<string, number>>;
  /** Most bytes of voxels that any file got. */
  readonly largestVolume: number;
}

/** Values that headers are broken with: limits, signs, non-numbers. */
const NASTY = [0, 1, 255, 0x7f, 0x80, 0xff, 0x7f80, 0xff80];

/**
 * Reads `runs` mutated files (both versions, both byte orders, every type, single files, pairs and gzipped ones; bytes
 * changed, cut off, repeated). The same seed gives the same files.
 *
 * @throws Error naming the run where the reader throws anything but an ImagingError, or allocates beyond the file's means
 */
export function fuzzNifti(seed: number, runs: number): FuzzTally {
  const random = xorshift(seed);
  const refused: Record<string, number> = {};
  let read = 0;
  let largestVolume = 0;
  for (let run = 0; run < runs; run++) {
    const { parts, paired } = mutated(random);
    const size = parts.reduce((sum, part) => sum + part.length, 0);
    try {
      const { volume } = paired ? readNiftiPair(parts[0]!, parts[1]!) : readNifti(parts[0]!);
      const { data, columns, rows, slices } = volume;
      // Deflate's best ratio, and the widening of int8 to float64.
      if (data.length !== columns * rows * slices || data.byteLength > size * 1032 * 8) {
        throw new Error(`${data.byteLength} bytes of voxels from a file of ${size}`);
      }
      read++;
      largestVolume = Math.max(largestVolume, data.byteLength);
    } catch (error) {
      if (!(error instanceof ImagingError))
        throw new Error(`Fuzz run ${run} of seed ${seed} failed.`, { cause: error });
      refused[error.code] = (refused[error.code] ?? 0) + 1;
    }
  }
  return { runs, read, refused, largestVolume };
}

function mutated(random: () => number): { parts: Uint8Array[]; paired: boolean } {
  const integer = (n: number): number => Math.floor(random() * n);
  const codes = Object.keys(WRITERS).map(Number);
  const options: NiftiFixture = {
    version: integer(2) === 0 ? 1 : 2,
    littleEndian: integer(3) > 0,
    paired: integer(3) === 0,
    datatype: codes[integer(codes.length)]!,
    qformCode: integer(2),
    sformCode: integer(2),
    quatern: Array.from({ length: 6 }, () => random() * 2 - 1),
    pixdim: [integer(2) * 2 - 1, 0.5, 0.5, 5, 0, 0, 0, 0],
    slope: [1, 0, NaN, 2, 0.5][integer(5)]!,
    voxels: [1, 2, 3, 4],
  };
  const { file, header, voxels } = niftiFixture(options);
  const parts = (options.paired ? [header, voxels] : [file]).map((bytes) => {
    const broken = damage(bytes, integer);
    if (integer(3) > 0) return broken;
    const packed = gzipSync(broken, { level: 1, mtime: 0 });
    return integer(2) === 0 ? packed : damage(packed, integer);
  });
  return { parts, paired: options.paired === true };
}

function damage(bytes: Uint8Array, integer: (n: number) => number): Uint8Array {
  const out = bytes.slice();
  for (let change = integer(6); change > 0; change--) {
    const at = integer(Math.max(1, out.length));
    const nasty = NASTY[integer(NASTY.length)]!;
    out[at] = integer(2) === 0 ? integer(256) : nasty & 255;
    if (nasty > 255 && at > 0) out[at - 1] = nasty >> 8;
  }
  if (integer(8) === 0) return out.subarray(0, integer(out.length + 1));
  if (integer(12) === 0) return Uint8Array.from([...out, ...out]);
  return out;
}

/** xorshift32, uniform in [0, 1). */
function xorshift(seed: number): () => number {
  let state = (seed * 2654435761) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
