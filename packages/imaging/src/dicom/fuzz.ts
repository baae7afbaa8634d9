import { ImagingError } from '../imaging-error.js';
import { loadDicomCodec } from './codec/decode-frame.js';
import { decodeDicomSlice } from './pixels.js';
import { readDicomSlices } from './slice.js';

/** What became of mutated files. */
export interface FuzzResult {
  read: number;
  refused: number;
  /** Errors that are no explanation, with the seed that makes them. */
  readonly faults: { readonly seed: number; readonly message: string }[];
  slowestMs: number;
}

/** Pictures larger than this are not decoded: a reader's `maxBytes` keeps them out. */
const MAX_VOXELS = 2 ** 24;

/** Reads `count` mutations of a file, as a reader of folders does: headers, then the pixels of every frame. */
export async function fuzzDicom(base: Uint8Array, from: number, count: number): Promise<FuzzResult> {
  const result: FuzzResult = { read: 0, refused: 0, faults: [], slowestMs: 0 };
  for (let seed = from; seed < from + count; seed++) {
    const bytes = mutate(base, seed);
    const start = performance.now();
    try {
      await readAll(bytes);
      result.read++;
    } catch (error) {
      if (error instanceof ImagingError) result.refused++;
      else
        result.faults.push({ seed, message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
    result.slowestMs = Math.max(result.slowestMs, performance.now() - start);
  }
  return result;
}

async function readAll(bytes: Uint8Array): Promise<void> {
  for (const slice of readDicomSlices(bytes, 'fuzz')) {
    const voxels = slice.rows * slice.columns;
    if (voxels > MAX_VOXELS) continue;
    await loadDicomCodec(slice.pixels.codec);
    decodeDicomSlice(bytes, slice, new Int16Array(voxels));
  }
}

/** The file with one to eight changes: bytes, lengths, pieces cut out, doubled or moved, the end cut off. */
export function mutate(base: Uint8Array, seed: number): Uint8Array {
  const random = generator(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  // A copy even of a Buffer, whose slice is none.
  let bytes = Uint8Array.from(base);
  const changes = 1 + below(8);
  for (let change = 0; change < changes && bytes.length > 16; change++) {
    const at = below(bytes.length - 8);
    const length = 1 + below(Math.min(64, bytes.length - at));
    switch (below(9)) {
      case 0:
        bytes[at] = below(256);
        break;
      case 1:
        bytes[at]! ^= 1 << below(8);
        break;
      case 2:
        bytes.set(new Uint8Array(Uint32Array.of([0, 1, 0x7fffffff, 0xffffffff, 0xfffffffe][below(5)]!).buffer), at);
        break;
      case 3:
        bytes.set(
          [
            [0, 0],
            [0xff, 0xff],
            [0, 0x80],
            [0xff, 0x7f],
          ][below(4)]!,
          at,
        );
        break;
      case 4:
        bytes = Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + length)]);
        break;
      case 5:
        bytes = Uint8Array.from([...bytes.subarray(0, at + length), ...bytes.subarray(at)]);
        break;
      case 6:
        bytes.copyWithin(at, below(bytes.length - 8), below(bytes.length));
        break;
      case 7:
        bytes.fill(below(2) * 255, at, at + length);
        break;
      default:
        // Rarely, since it ends most of what the others could find.
        if (below(4) === 0) bytes = bytes.slice(0, at);
    }
  }
  return bytes;
}

/** mulberry32: uniform numbers from 0 to 1. */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
