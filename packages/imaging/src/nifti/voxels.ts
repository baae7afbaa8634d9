import type { VoxelArray } from '../volume.js';
import type { NiftiHeader } from './header.js';

type Stored =
  Uint8Array | Int8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | Float32Array | Float64Array;

/**
 * The stored bytes, scaled in double precision, as the narrowest type of a Volume that holds every value exactly: uint8
 * and float32 stay, integers become int16 where they fit, everything else float32 or float64. `buffer` holds the voxels
 * alone; it is kept and its byte order is changed in place.
 */
export function decodeVoxels(buffer: ArrayBuffer, header: NiftiHeader): VoxelArray {
  const stored = viewOf(buffer, header);
  const { slope, intercept } = header;
  if (slope === 1 && intercept === 0) {
    if (stored instanceof Uint8Array || stored instanceof Int16Array || stored instanceof Float32Array) return stored;
  }
  const isFloat = stored instanceof Float32Array || stored instanceof Float64Array;
  let isInt16 = !isFloat && Number.isInteger(slope) && Number.isInteger(intercept);
  let isFloat32 = true;
  for (const value of stored) {
    const scaled = value * slope + intercept;
    isInt16 &&= scaled >= -32768 && scaled <= 32767;
    isFloat32 &&= Object.is(Math.fround(scaled), scaled);
  }
  const values = isInt16
    ? new Int16Array(stored.length)
    : isFloat32
      ? new Float32Array(stored.length)
      : new Float64Array(stored.length);
  for (let index = 0; index < stored.length; index++) values[index] = stored[index]! * slope + intercept;
  return values;
}

const WIDTHS = {
  uint8: 1,
  int8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  uint64: 8,
  float32: 4,
  float64: 8,
} as const;

function viewOf(buffer: ArrayBuffer, { type, littleEndian }: NiftiHeader): Stored {
  if (!littleEndian) swapBytes(buffer, WIDTHS[type]);
  switch (type) {
    case 'uint8':
      return new Uint8Array(buffer);
    case 'int8':
      return new Int8Array(buffer);
    case 'int16':
      return new Int16Array(buffer);
    case 'uint16':
      return new Uint16Array(buffer);
    case 'int32':
      return new Int32Array(buffer);
    case 'uint32':
      return new Uint32Array(buffer);
    case 'int64':
      return numbers(new BigInt64Array(buffer));
    case 'uint64':
      return numbers(new BigUint64Array(buffer));
    case 'float32':
      return new Float32Array(buffer);
    case 'float64':
      return new Float64Array(buffer);
  }
}

/** 64-bit integers as the nearest doubles, in the same memory; int32 where all fit, so that they count as integers. */
function numbers(stored: BigInt64Array | BigUint64Array): Int32Array | Float64Array {
  const doubles = new Float64Array(stored.buffer);
  let small = true;
  for (let index = 0; index < stored.length; index++) {
    const value = Number(stored[index]!);
    doubles[index] = value;
    small &&= (value | 0) === value;
  }
  return small ? Int32Array.from(doubles) : doubles;
}

function swapBytes(buffer: ArrayBuffer, width: number): void {
  if (width === 1) return;
  const bytes = new Uint8Array(buffer);
  const half = width >> 1;
  for (let start = 0; start < bytes.length; start += width) {
    for (let low = start, high = start + width - 1; low < start + half; low++, high--) {
      const byte = bytes[low]!;
      bytes[low] = bytes[high]!;
      bytes[high] = byte;
    }
  }
}
