import { ImagingError } from '../imaging-error.js';
import { decodeFrame } from './codec/decode-frame.js';
import { encapsulatedFrames } from './fragments.js';
import { parseDicom } from './parse.js';
import type { DicomSlice, PixelEncoding } from './slice.js';

export interface DecodedSlice {
  /** Voxels whose HU lay outside int16. */
  readonly clamped: number;
  /** Most HU by which compression may have changed a voxel: 0 where lossless, undefined where nothing bounds it. */
  readonly maxError: number | undefined;
  /** Uncompressed by compressed size, where compressed. */
  readonly ratio: number | undefined;
}

/** What {@link decodeDicomSlice} found out about a file, kept for the other frames in it as long as its bytes are. */
const opened = new WeakMap<Uint8Array, { readonly data: Uint8Array; readonly frames?: readonly Uint8Array[] }>();

/**
 * Writes the slice's HU, stored * slope + intercept rounded, to `out` (rows x columns values); what lies outside int16 is
 * clamped. `bytes` is the file that the header was read from. JPEG-LS, JPEG 2000 and HTJ2K need `loadDicomCodec` first.
 */
export function decodeDicomSlice(bytes: Uint8Array, slice: DicomSlice, out: Int16Array): DecodedSlice {
  const { rows, columns, pixels } = slice;
  if (out.length !== rows * columns) {
    throw new ImagingError('bad-argument', `Expected room for ${rows * columns} voxels, found ${out.length}.`);
  }
  if (pixels.codec === 'native') {
    const data = pixels.deflated ? open(bytes, pixels).data : bytes;
    return { clamped: toHu(nativeSamples(data, slice), pixels, out), maxError: 0, ratio: undefined };
  }
  const packed = open(bytes, pixels).frames![slice.frame]!;
  const { samples, maxError } = decodeFrame(pixels.codec, packed, {
    rows,
    columns,
    bitsAllocated: pixels.bitsAllocated,
  });
  return {
    clamped: toHu(samples, pixels, out),
    maxError: maxError === undefined ? undefined : Math.abs(maxError * pixels.slope),
    ratio: (samples.length * pixels.bitsAllocated) / 8 / Math.max(1, packed.length),
  };
}

function open(bytes: Uint8Array, { codec, offset, frames }: PixelEncoding) {
  const known = opened.get(bytes);
  if (known !== undefined) return known;
  const { dataset } = parseDicom(bytes);
  const found = {
    data: dataset.bytes,
    ...(codec !== 'native' && { frames: encapsulatedFrames(dataset, offset, frames) }),
  };
  opened.set(bytes, found);
  return found;
}

const isLittleEndianHost = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

function nativeSamples(data: Uint8Array, { rows, columns, pixels }: DicomSlice): Uint16Array {
  const { offset, bitsAllocated, littleEndian } = pixels;
  const size = (rows * columns * bitsAllocated) / 8;
  if (offset + size > data.length) {
    throw new ImagingError('bad-argument', 'Expected the file that the header was read from, found a shorter one.');
  }
  const own = data.slice(offset, offset + size);
  if (bitsAllocated === 8) return Uint16Array.from(own);
  const samples = new Uint16Array(own.buffer, own.byteOffset, rows * columns);
  if (littleEndian !== isLittleEndianHost) {
    for (let k = 0; k < samples.length; k++) samples[k] = (samples[k]! >>> 8) | (samples[k]! << 8);
  }
  return samples;
}

function toHu(samples: Uint16Array, pixels: PixelEncoding, out: Int16Array): number {
  const { bitsStored, highBit, signed, slope, intercept } = pixels;
  const shift = highBit + 1 - bitsStored;
  // Left, then arithmetic right: drops what lies above the stored bits and extends the sign in one go.
  const unused = 32 - bitsStored;
  const isWhole = slope === 1 && Number.isSafeInteger(intercept);
  let clamped = 0;
  for (let index = 0; index < out.length; index++) {
    const raw = (samples[index]! >>> shift) << unused;
    const stored = signed ? raw >> unused : raw >>> unused;
    const hu = isWhole ? stored + intercept : Math.round(stored * slope + intercept);
    if (hu < -32768 || hu > 32767) clamped++;
    out[index] = hu < -32768 ? -32768 : hu > 32767 ? 32767 : hu;
  }
  return clamped;
}
