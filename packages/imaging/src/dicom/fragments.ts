import { ImagingError } from '../imaging-error.js';
import type { DicomDataset } from './dataset.js';
import { ITEM, SEQUENCE_END } from './reader.js';
import { TAG } from './tags.js';

interface Fragment {
  /** Place of the item's tag, counted from the end of the basic offset table, as that table counts. */
  readonly place: number;
  readonly bytes: Uint8Array;
}

/** One fragment a slice is the rule; a hostile file has millions of empty ones. */
const MAX_FRAGMENTS = 1_000_000;

const bad = (message: string): ImagingError => new ImagingError('bad-dicom', message);

/**
 * The compressed bytes of each frame of encapsulated pixel data, whose fragments begin at `offset` (PS3.5, A.4). Frames
 * are told apart by the extended or the basic offset table, by one fragment a frame, or by where code streams begin.
 */
export function encapsulatedFrames(dataset: DicomDataset, offset: number, frames: number): Uint8Array[] {
  const { table, fragments } = readFragments(dataset.bytes, offset);
  if (fragments.length === 0) throw bad('Expected compressed pixels, found no fragment of them.');
  if (frames === 1) return [join(fragments)];
  const starts =
    extendedOffsets(dataset, frames) ??
    (table.length === frames ? table : undefined) ??
    (fragments.length === frames ? fragments.map(({ place }) => place) : streamStarts(fragments));
  if (starts.length !== frames) {
    throw bad(`Expected ${frames} frames, found ${starts.length} in ${fragments.length} fragments.`);
  }
  let next = 0;
  return starts.map((start, frame) => {
    const end = starts[frame + 1] ?? Infinity;
    const from = next;
    while (next < fragments.length && fragments[next]!.place < end) next++;
    const own = fragments.slice(from, next);
    if (own[0]?.place !== start)
      throw bad(`Expected frame ${frame + 1} where the offset table says, found none there.`);
    return join(own);
  });
}

function readFragments(bytes: Uint8Array, from: number): { table: number[]; fragments: Fragment[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fragments: Fragment[] = [];
  let table: number[] | undefined;
  let base = from;
  for (let offset = from; ;) {
    if (offset + 8 > bytes.length) {
      // Some writers leave out the end mark; what was there is whole then.
      if (offset === bytes.length && table !== undefined) break;
      throw new ImagingError(
        'truncated',
        'Expected more compressed pixels, found the end of the file: it is truncated.',
      );
    }
    const tag = view.getUint16(offset, true) * 0x10000 + view.getUint16(offset + 2, true);
    const length = view.getUint32(offset + 4, true);
    if (tag === SEQUENCE_END) break;
    if (tag !== ITEM) throw bad('Expected a fragment of compressed pixels, found something else.');
    if (offset + 8 + length > bytes.length) {
      throw new ImagingError(
        'truncated',
        `Expected ${length} bytes of compressed pixels, found ${bytes.length - offset - 8}: the DICOM file is truncated or damaged.`,
      );
    }
    const value = bytes.subarray(offset + 8, offset + 8 + length);
    if (table === undefined) {
      table = Array.from({ length: Math.floor(length / 4) }, (_, k) => view.getUint32(offset + 8 + 4 * k, true));
      base = offset + 8 + length;
    } else {
      if (fragments.length >= MAX_FRAGMENTS) throw bad(`Expected at most ${MAX_FRAGMENTS} fragments, found more.`);
      fragments.push({ place: offset - base, bytes: value });
    }
    offset += 8 + length;
  }
  return { table: table ?? [], fragments };
}

function extendedOffsets(dataset: DicomDataset, frames: number): number[] | undefined {
  const element = dataset.elements.get(TAG.extendedOffsetTable);
  if (element?.length !== frames * 8) return undefined;
  const view = new DataView(dataset.bytes.buffer, dataset.bytes.byteOffset + element.offset, element.length);
  return Array.from({ length: frames }, (_, k) => Number(view.getBigUint64(8 * k, true)));
}

/** Places of the fragments that begin a JPEG (FF D8) or JPEG 2000 (FF 4F) code stream. */
function streamStarts(fragments: readonly Fragment[]): number[] {
  return fragments
    .filter(({ bytes }) => bytes[0] === 0xff && (bytes[1] === 0xd8 || bytes[1] === 0x4f))
    .map(({ place }) => place);
}

function join(fragments: readonly Fragment[]): Uint8Array {
  if (fragments.length === 1) return fragments[0]!.bytes;
  const whole = new Uint8Array(fragments.reduce((sum, { bytes }) => sum + bytes.length, 0));
  let offset = 0;
  for (const { bytes } of fragments) {
    whole.set(bytes, offset);
    offset += bytes.length;
  }
  return whole;
}
