import { ImagingError } from '../imaging-error.js';
import { roundHalfToEven, toInt16 } from '../round.js';
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
 * Writes the slice's HU, stored * slope + intercept rounded (halves to even), to `out` (rows x columns values); what lies
 * outside int16 is clamped. `bytes` is the file that the header was read from. JPEG-LS, JPEG 2000 and HTJ2K need `loadDicomCodec` first.
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
  if (bitsAllocated === 8) return Uint16Array.from(data.subarray(offset, offset + size));
  const place = data.byteOffset + offset;
  if (littleEndian === isLittleEndianHost && place % 2 === 0) {
    return new Uint16Array(data.buffer, place, rows * columns);
  }
  const samples = new Uint16Array(Uint8Array.from(data.subarray(offset, offset + size)).buffer);
  if (littleEndian !== isLittleEndianHost) {
    for (let k = 0; k < samples.length; k++) samples[k] = (samples[k]! >>> 8) | (samples[k]! << 8);
  }
  return samples;
}

/** HU of every stored value under one encoding, and whether it had to be clamped. */
interface HuTable {
  readonly key: string;
  readonly hu: Int16Array;
  readonly clamped: Uint8Array | undefined;
}

/** The table of the slice before: the slices of a series have one encoding, as a rule. */
let lastTable: HuTable | undefined;

function huTable({ bitsStored, highBit, signed, slope, intercept }: PixelEncoding): HuTable {
  const key = [bitsStored, highBit, signed, slope, intercept].join(' ');
  if (lastTable?.key === key) return lastTable;
  const shift = highBit + 1 - bitsStored;
  // Left, then arithmetic right: drops what lies above the stored bits and extends the sign in one go.
  const unused = 32 - bitsStored;
  const hu = new Int16Array(2 ** 16);
  const clamped = new Uint8Array(2 ** 16);
  for (let sample = 0; sample < hu.length; sample++) {
    const raw = (sample >>> shift) << unused;
    const value = roundHalfToEven((signed ? raw >> unused : raw >>> unused) * slope + intercept);
    if (value < -32768 || value > 32767) clamped[sample] = 1;
    hu[sample] = toInt16(value);
  }
  lastTable = { key, hu, clamped: clamped.includes(1) ? clamped : undefined };
  return lastTable;
}

function toHu(samples: Uint16Array, pixels: PixelEncoding, out: Int16Array): number {
  if (addIntercept(samples, pixels, out)) return 0;
  const { hu, clamped } = huTable(pixels);
  for (let index = 0; index < out.length; index++) out[index] = hu[samples[index]!]!;
  if (clamped === undefined) return 0;
  let sum = 0;
  for (let index = 0; index < out.length; index++) sum += clamped[samples[index]!]!;
  return sum;
}

/** The usual case in one loop without branches: slope 1, a whole intercept, nothing to clamp; false where it is another. */
function addIntercept(samples: Uint16Array, pixels: PixelEncoding, out: Int16Array): boolean {
  const { bitsStored, highBit, signed, slope, intercept } = pixels;
  if (slope !== 1 || !Number.isInteger(intercept) || Math.abs(intercept) > 2 ** 20) return false;
  const left = 31 - highBit;
  const right = 32 - bitsStored;
  let beyond = 0;
  if (signed) {
    for (let index = 0; index < out.length; index++) {
      const hu = ((samples[index]! << left) >> right) + intercept;
      beyond |= hu + 32768;
      out[index] = hu;
    }
  } else {
    for (let index = 0; index < out.length; index++) {
      const hu = ((samples[index]! << left) >>> right) + intercept;
      beyond |= hu + 32768;
      out[index] = hu;
    }
  }
  // Any bit above the 16th means that a value lay outside int16.
  return beyond >>> 16 === 0;
}
