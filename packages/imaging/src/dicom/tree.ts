import { Inflate } from 'fflate';

import { ImagingError } from '../imaging-error.js';
import { tagName } from './tags.js';

/** A data set with its sequences: what multi-frame objects need, whose geometry lies several sequences deep. */
export class DicomTree {
  readonly #values = new Map<number, Uint8Array>();
  readonly #items = new Map<number, readonly DicomTree[]>();

  constructor(readonly littleEndian: boolean) {}

  set(tag: number, value: Uint8Array | readonly DicomTree[]): void {
    if (value instanceof Uint8Array) this.#values.set(tag, value);
    else this.#items.set(tag, value);
  }

  /** The items of a sequence; none where it is missing. */
  items(tag: number): readonly DicomTree[] {
    return this.#items.get(tag) ?? [];
  }

  /** The first item that a path of sequences leads to. */
  at(...tags: number[]): DicomTree | undefined {
    return tags.reduce<DicomTree | undefined>((here, tag) => here?.items(tag)[0], this);
  }

  bytes(tag: number): Uint8Array | undefined {
    return this.#values.get(tag);
  }

  /** Text of up to 1024 characters without padding; undefined where it is missing or empty. */
  text(tag: number): string | undefined {
    const value = this.#values.get(tag);
    if (value === undefined) return undefined;
    const text = new TextDecoder('utf-8').decode(value.subarray(0, 1024));
    // eslint-disable-next-line no-control-regex
    const clean = text.replaceAll(/[\x00-\x1f\x7f]/g, ' ').trim();
    return clean === '' ? undefined : clean;
  }

  /** Numbers written as text; undefined where any is none. */
  decimals(tag: number): number[] | undefined {
    const values = this.text(tag)
      ?.split('\\')
      .map((part) => (part.trim() === '' ? NaN : Number(part)));
    return values?.every(Number.isFinite) ? values : undefined;
  }

  uint16(tag: number): number | undefined {
    const value = this.#values.get(tag);
    if (value === undefined || value.length < 2) return undefined;
    return new DataView(value.buffer, value.byteOffset, 2).getUint16(0, this.littleEndian);
  }
}

const UNDEFINED = 0xffffffff;
const ITEM = 0xfffee000;
const ITEM_END = 0xfffee00d;
const SEQUENCE_END = 0xfffee0dd;
const MAX_DEPTH = 16;
const MAX_ELEMENTS = 1_000_000;
const MAX_INFLATED = 2 ** 30;
const LONG_VRS = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']);
const IMPLICIT = '1.2.840.10008.1.2';
const EXPLICIT = '1.2.840.10008.1.2.1';
const DEFLATED = '1.2.840.10008.1.2.1.99';
const BIG = '1.2.840.10008.1.2.2';

/**
 * The whole of a DICOM file as a tree: implicit and explicit VR little endian, explicit big endian, deflated. Every length
 * is checked against what holds it; depth and number of elements are bounded.
 *
 * @throws ImagingError for damaged files and compressed pixels
 */
export function parseDicomTree(bytes: Uint8Array): DicomTree {
  if (bytes.length < 132 || String.fromCharCode(...bytes.subarray(128, 132)) !== 'DICM') {
    throw new ImagingError('not-dicom', 'Expected a DICOM file, found no mark "DICM" at byte 128.');
  }
  const meta = new DicomTree(true);
  const head = new TreeReader(bytes, true, true);
  let offset = 132;
  while (offset + 8 <= bytes.length && head.group(offset) === 2) offset = head.element(offset, bytes.length, meta, 0);
  const syntax = meta.text(0x00020010) ?? IMPLICIT;
  if (![IMPLICIT, EXPLICIT, DEFLATED, BIG].includes(syntax)) {
    throw new ImagingError(
      'compressed-dicom',
      `Expected uncompressed pixels, found the transfer syntax ${syntax.slice(0, 64)}: decompress the file first.`,
    );
  }
  const content = syntax === DEFLATED ? inflate(bytes.subarray(offset)) : bytes.subarray(offset);
  const root = new DicomTree(syntax !== BIG);
  const reader = new TreeReader(content, syntax !== IMPLICIT, syntax !== BIG);
  for (let at = 0; at + 8 <= content.length;) at = reader.element(at, content.length, root, 0);
  return root;
}

function inflate(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  let size = 0;
  const stream = new Inflate((part) => {
    size += part.length;
    if (size > MAX_INFLATED) throw new ImagingError('too-large', 'Expected at most 1 GiB, found a deflate bomb.');
    parts.push(part);
  });
  try {
    for (let start = 0; start < bytes.length; start += 65536) {
      stream.push(bytes.subarray(start, start + 65536), start + 65536 >= bytes.length);
    }
  } catch (error) {
    if (error instanceof ImagingError) throw error;
    throw new ImagingError('bad-dicom', 'Expected deflated attributes, found damaged data.', { cause: error });
  }
  const out = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

class TreeReader {
  readonly #view: DataView;
  #elements = 0;

  constructor(
    readonly bytes: Uint8Array,
    readonly explicit: boolean,
    readonly littleEndian: boolean,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  group(offset: number): number {
    return this.#view.getUint16(offset, this.littleEndian);
  }

  /** Reads one element into `into` and returns the offset behind it. */
  element(offset: number, end: number, into: DicomTree, depth: number): number {
    if (++this.#elements > MAX_ELEMENTS) throw bad(`at most ${MAX_ELEMENTS} attributes`, 'more');
    const { tag, vr, start, length } = this.#start(offset, end);
    if (vr === 'SQ' || length === UNDEFINED) {
      const sequence = this.#sequence(
        start,
        length === UNDEFINED ? undefined : this.#end(tag, start, length, end),
        end,
        depth,
      );
      into.set(tag, sequence.items);
      return sequence.end;
    }
    const stop = this.#end(tag, start, length, end);
    const value = this.bytes.subarray(start, stop);
    // Implicit VR does not say which values are sequences: those begin with an item.
    if (vr === '' && length >= 8 && this.#tag(start) === ITEM && tag !== 0x7fe00010) {
      into.set(tag, this.#sequence(start, stop, end, depth).items);
    } else {
      into.set(tag, value);
    }
    return stop;
  }

  #sequence(from: number, stop: number | undefined, end: number, depth: number): { items: DicomTree[]; end: number } {
    if (depth >= MAX_DEPTH) throw bad(`sequences nested up to ${MAX_DEPTH} deep`, 'more');
    const items: DicomTree[] = [];
    let offset = from;
    while (offset < (stop ?? end)) {
      const { tag, start, length } = this.#start(offset, stop ?? end);
      if (tag === SEQUENCE_END) return { items, end: start };
      if (tag !== ITEM) throw bad('a sequence item', tagName(tag));
      const item = new DicomTree(this.littleEndian);
      items.push(item);
      offset = this.#item(
        start,
        length === UNDEFINED ? undefined : this.#end(tag, start, length, stop ?? end),
        stop ?? end,
        item,
        depth,
      );
    }
    if (stop === undefined) throw truncated('the end of a sequence');
    return { items, end: stop };
  }

  #item(from: number, stop: number | undefined, end: number, item: DicomTree, depth: number): number {
    let offset = from;
    while (offset < (stop ?? end)) {
      if (stop === undefined && offset + 8 <= end && this.#tag(offset) === ITEM_END) return offset + 8;
      offset = this.element(offset, stop ?? end, item, depth + 1);
    }
    if (stop === undefined) throw truncated('the end of a sequence item');
    return stop;
  }

  #tag(offset: number): number {
    return this.group(offset) * 0x10000 + this.#view.getUint16(offset + 2, this.littleEndian);
  }

  #start(offset: number, end: number): { tag: number; vr: string; start: number; length: number } {
    if (offset + 8 > end) throw truncated('another attribute');
    const tag = this.#tag(offset);
    if (!this.explicit || tag >>> 16 === 0xfffe) {
      return { tag, vr: '', start: offset + 8, length: this.#view.getUint32(offset + 4, this.littleEndian) };
    }
    const vr = String.fromCharCode(this.bytes[offset + 4]!, this.bytes[offset + 5]!);
    if (!/^[A-Z]{2}$/.test(vr)) throw bad(`a value representation for ${tagName(tag)}`, 'none');
    if (!LONG_VRS.has(vr))
      return { tag, vr, start: offset + 8, length: this.#view.getUint16(offset + 6, this.littleEndian) };
    if (offset + 12 > end) throw truncated('another attribute');
    return { tag, vr, start: offset + 12, length: this.#view.getUint32(offset + 8, this.littleEndian) };
  }

  #end(tag: number, start: number, length: number, end: number): number {
    if (start + length > end) throw truncated(`${length} bytes for ${tagName(tag)}`);
    return start + length;
  }
}

function bad(expected: string, found: string): ImagingError {
  return new ImagingError('bad-dicom', `Expected ${expected}, found ${found}: the DICOM file is damaged.`);
}

function truncated(expected: string): ImagingError {
  return new ImagingError(
    'truncated',
    `Expected ${expected}, found the end of it: the DICOM file is truncated or damaged.`,
  );
}
