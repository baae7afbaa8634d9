import type { VoxelArray } from '../volume.js';
import type { NiftiHeader } from './header.js';

type Stored =
  Uint8Array | Int8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | Float32Array | Float64Array;

/**
 * The stored bytes as the narrowest type of a Volume that holds every value: uint8 stays, integers become int16 where
 * they fit, everything else float32. `buffer` holds the voxels alone; it is kept and its byte order is changed in place.
 */
export function decodeVoxels(buffer: ArrayBuffer, header: NiftiHeader): VoxelArray {
  const stored = viewOf(buffer, header);
  const { slope, intercept } = header;
  if (slope === 1 && intercept === 0) {
    if (stored instanceof Uint8Array || stored instanceof Int16Array || stored instanceof Float32Array) return stored;
    if (stored instanceof Float64Array) return Float32Array.from(stored);
    return fitsInt16(stored) ? Int16Array.from(stored) : Float32Array.from(stored);
  }
  const scaled = new Float32Array(stored.length);
  let whole = Number.isInteger(slope) && Number.isInteger(intercept) && !(stored instanceof Float64Array);
  whole &&= !(stored instanceof Float32Array);
  for (let index = 0; index < stored.length; index++) scaled[index] = stored[index]! * slope + intercept;
  return whole && fitsInt16(scaled) ? Int16Array.from(scaled) : scaled;
}

function viewOf(buffer: ArrayBuffer, { type, littleEndian }: NiftiHeader): Stored {
  const width = { uint8: 1, int8: 1, int16: 2, uint16: 2, int32: 4, uint32: 4, float32: 4, float64: 8 }[type];
  if (!littleEndian && width > 1) swapBytes(new Uint8Array(buffer), width);
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
    case 'float32':
      return new Float32Array(buffer);
    case 'float64':
      return new Float64Array(buffer);
  }
}

function swapBytes(bytes: Uint8Array, width: number): void {
  for (let start = 0; start < bytes.length; start += width) bytes.subarray(start, start + width).reverse();
}

function fitsInt16(values: Stored): boolean {
  for (const value of values) {
    if (!(value >= -32768 && value <= 32767)) return false;
  }
  return true;
}
