import { ImagingError } from '../imaging-error.js';
import { TAG, tagName } from './tags.js';

/** Where an attribute's value lies in the file. */
export interface DicomElement {
  readonly offset: number;
  /** Bytes of the value; of a sequence without a length those up to its end mark, which is then counted in. */
  readonly length: number;
  /** Value representation, empty where the encoding does not give one. */
  readonly vr: string;
}

export interface Encoding {
  readonly explicit: boolean;
  readonly littleEndian: boolean;
}

export interface ElementStart {
  readonly tag: number;
  readonly vr: string;
  readonly offset: number;
  /** Bytes of the value, or {@link UNDEFINED}. */
  readonly length: number;
}

export const UNDEFINED = 0xffffffff;
export const ITEM = 0xfffee000;
const ITEM_END = 0xfffee00d;
export const SEQUENCE_END = 0xfffee0dd;
/** CT slices nest some 5 deep, results some 8. */
const MAX_DEPTH = 16;
/** Far above any CT slice's some 200; keeps a file of empty elements from filling the memory. */
const MAX_ELEMENTS = 20_000;
/** Frames of one object, files of one DICOMDIR. */
const MAX_ITEMS = 100_000;
const LONG_VRS = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']);
const IMPLICIT: Encoding = { explicit: false, littleEndian: true };

const bad = (message: string): ImagingError => new ImagingError('bad-dicom', message);

/** What was given is only the beginning of a file, and at least `needed` bytes of it must be had to go on. */
export class MoreBytesNeeded extends Error {
  constructor(readonly needed: number) {
    super(`The first ${needed} bytes of the file are needed.`);
  }
}

/** Reads elements one by one; every length is checked against the file before use. */
export class Reader {
  readonly view: DataView;

  /**
   * @param bytes a file or its beginning
   * @param total size of the whole file
   */
  constructor(
    readonly bytes: Uint8Array,
    readonly total = bytes.length,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Tag, VR and length of the element at `offset`; sequence delimiters have no VR in any encoding. */
  start(offset: number, { explicit, littleEndian }: Encoding): ElementStart {
    this.#need(offset + 8);
    const tag = this.view.getUint16(offset, littleEndian) * 0x10000 + this.view.getUint16(offset + 2, littleEndian);
    if (!explicit || tag >>> 16 === 0xfffe) {
      return { tag, vr: '', offset: offset + 8, length: this.view.getUint32(offset + 4, littleEndian) };
    }
    const vr = String.fromCharCode(this.bytes[offset + 4]!, this.bytes[offset + 5]!);
    if (!/^[A-Z]{2}$/.test(vr)) throw bad(`Expected a value representation for ${tagName(tag)}, found none.`);
    if (!LONG_VRS.has(vr)) {
      return { tag, vr, offset: offset + 8, length: this.view.getUint16(offset + 6, littleEndian) };
    }
    this.#need(offset + 12);
    return { tag, vr, offset: offset + 12, length: this.view.getUint32(offset + 8, littleEndian) };
  }

  /** Offset behind a value of known length, which need not have been read yet. */
  end({ tag, offset, length }: ElementStart): number {
    if (offset + length > this.total) {
      throw new ImagingError(
        'truncated',
        `Expected ${length} bytes for ${tagName(tag)}, found ${this.total - offset}: the DICOM file is truncated or damaged.`,
      );
    }
    return offset + length;
  }

  /** Fills `elements` from `offset` to `end`, or to the pixels or an item's end; returns what it stopped at. */
  elements(from: number, end: number, encoding: Encoding, elements: Map<number, DicomElement>): ElementStart | number {
    let offset = from;
    while (offset < end) {
      const start = this.start(offset, encoding);
      if (start.tag === TAG.pixelData || start.tag === ITEM_END) return start;
      offset = this.keep(start, encoding, elements);
    }
    return offset;
  }

  /** Notes an element, whose bytes must be there, and returns the offset behind it. */
  keep(start: ElementStart, encoding: Encoding, elements: Map<number, DicomElement>): number {
    const end = start.length === UNDEFINED ? this.#skipSequence(start, encoding, 1) : this.end(start);
    this.#need(end);
    if (elements.size >= MAX_ELEMENTS) throw bad(`Expected at most ${MAX_ELEMENTS} attributes, found more.`);
    elements.set(start.tag, { offset: start.offset, length: end - start.offset, vr: start.vr });
    return end;
  }

  /** The items of a sequence, each with the elements of its top level. */
  items(sequence: DicomElement, outer: Encoding): Map<number, DicomElement>[] {
    const encoding = sequence.vr === 'UN' ? IMPLICIT : outer;
    const items: Map<number, DicomElement>[] = [];
    const end = sequence.offset + sequence.length;
    let offset = sequence.offset;
    while (offset < end) {
      const item = this.start(offset, encoding);
      if (item.tag === SEQUENCE_END) break;
      if (item.tag !== ITEM) throw bad(`Expected a sequence item, found ${tagName(item.tag)}.`);
      if (items.length >= MAX_ITEMS) throw bad(`Expected at most ${MAX_ITEMS} items in a sequence, found more.`);
      const elements = new Map<number, DicomElement>();
      const itemEnd = item.length === UNDEFINED ? end : Math.min(this.end(item), end);
      const stop = this.elements(item.offset, itemEnd, encoding, elements);
      offset = typeof stop === 'number' ? stop : item.length === UNDEFINED ? stop.offset : itemEnd;
      items.push(elements);
    }
    return items;
  }

  /** The offset behind a sequence of undefined length. */
  #skipSequence(sequence: ElementStart, outer: Encoding, depth: number): number {
    if (depth > MAX_DEPTH) throw bad(`Expected sequences nested up to ${MAX_DEPTH} deep, found more.`);
    // An unknown element (UN) of undefined length is written as implicit VR little endian, whatever is around it.
    const encoding = sequence.vr === 'UN' ? IMPLICIT : outer;
    let offset = sequence.offset;
    for (;;) {
      const item = this.start(offset, encoding);
      if (item.tag === SEQUENCE_END) return item.offset;
      if (item.tag !== ITEM)
        throw bad(`Expected a sequence item in ${tagName(sequence.tag)}, found ${tagName(item.tag)}.`);
      offset = item.length === UNDEFINED ? this.#skipItem(item.offset, encoding, depth) : this.end(item);
    }
  }

  #skipItem(from: number, encoding: Encoding, depth: number): number {
    let offset = from;
    for (;;) {
      const start = this.start(offset, encoding);
      if (start.tag === ITEM_END) return start.offset;
      offset = start.length === UNDEFINED ? this.#skipSequence(start, encoding, depth + 1) : this.end(start);
    }
  }

  /** Makes sure of the file's first `count` bytes. */
  #need(count: number): void {
    if (count <= this.bytes.length) return;
    if (count <= this.total) throw new MoreBytesNeeded(count);
    throw new ImagingError(
      'truncated',
      'Expected another DICOM attribute, found the end of the file: it is truncated.',
    );
  }
}
