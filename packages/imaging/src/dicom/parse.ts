import { ImagingError } from '../imaging-error.js';
import { DicomDataset, type DicomElement } from './dataset.js';
import { EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, TAG, tagName, transferSyntaxName } from './tags.js';

export interface DicomFile {
  readonly transferSyntax: string;
  readonly dataset: DicomDataset;
  /** Where the pixels lie in the file; absent in an object without pixels. */
  readonly pixelData?: DicomElement;
}

interface Encoding {
  readonly explicit: boolean;
  readonly littleEndian: boolean;
}

interface ElementStart {
  readonly tag: number;
  readonly vr: string;
  readonly offset: number;
  /** Bytes of the value, or {@link UNDEFINED}. */
  readonly length: number;
}

const UNDEFINED = 0xffffffff;
const ITEM = 0xfffee000;
const ITEM_END = 0xfffee00d;
const SEQUENCE_END = 0xfffee0dd;
const MAX_DEPTH = 32;
/** Far above any CT slice's some 200; keeps a file of empty elements from filling the memory. */
const MAX_ELEMENTS = 20_000;
const LONG_VRS = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']);
const LITTLE: Encoding = { explicit: true, littleEndian: true };

const bad = (message: string): ImagingError => new ImagingError('bad-dicom', message);

/**
 * The top-level attributes of a DICOM file up to its pixels; sequences are stepped over. Reads implicit and explicit VR
 * little endian and explicit VR big endian, with or without preamble and group 2; refuses compressed transfer syntaxes,
 * naming them. Every length is checked against the file before use.
 */
export function parseDicom(bytes: Uint8Array): DicomFile {
  const reader = new Reader(bytes);
  const marked = bytes.length >= 132 && String.fromCharCode(...bytes.subarray(128, 132)) === 'DICM';
  let offset = marked ? 132 : 0;
  if (offset + 8 > bytes.length)
    throw new ImagingError('not-dicom', 'Expected a DICOM file, found too few bytes for one.');
  const elements = new Map<number, DicomElement>();
  while (offset + 8 <= bytes.length && reader.view.getUint16(offset, true) === 0x0002) {
    const start = reader.start(offset, LITTLE);
    if (start.length === UNDEFINED) throw bad(`Expected a length for ${tagName(start.tag)}, found none.`);
    offset = reader.keep(start, elements);
  }
  const meta = new DicomDataset(bytes, true, elements);
  const transferSyntax = meta.text(TAG.transferSyntaxUid) ?? guessSyntax(reader, offset, marked || elements.size > 0);
  const encoding = encodingOf(transferSyntax);
  elements.clear();
  const pixelData = readElements(reader, offset, encoding, elements);
  return {
    transferSyntax,
    dataset: new DicomDataset(bytes, encoding.littleEndian, elements),
    ...(pixelData && { pixelData }),
  };
}

function encodingOf(transferSyntax: string): Encoding {
  if (transferSyntax === IMPLICIT_LITTLE) return { explicit: false, littleEndian: true };
  if (transferSyntax === EXPLICIT_LITTLE) return LITTLE;
  if (transferSyntax === EXPLICIT_BIG) return { explicit: true, littleEndian: false };
  throw new ImagingError(
    'compressed-dicom',
    `Expected an uncompressed DICOM file, found ${transferSyntaxName(transferSyntax)}: decompress it first, for instance with dcmdjpeg or gdcmconv --raw.`,
  );
}

/** The encoding of a file that does not say: data sets begin with group 8, and explicit VRs are two capital letters. */
function guessSyntax(reader: Reader, offset: number, isDicom: boolean): string {
  if (offset + 8 > reader.bytes.length)
    throw new ImagingError('truncated', 'Expected DICOM attributes, found the end of the file.');
  const group = reader.view.getUint16(offset, true);
  if (!isDicom && group !== 0x0008 && group !== 0x0800) {
    throw new ImagingError('not-dicom', 'Expected a DICOM file, found neither its mark "DICM" nor a data set.');
  }
  const vr = String.fromCharCode(reader.bytes[offset + 4]!, reader.bytes[offset + 5]!);
  if (!/^[A-Z]{2}$/.test(vr)) return IMPLICIT_LITTLE;
  return group === 0x0800 ? EXPLICIT_BIG : EXPLICIT_LITTLE;
}

/** Fills `elements` with the top level of the data set; returns the pixels' place, where reading ends. */
function readElements(
  reader: Reader,
  from: number,
  encoding: Encoding,
  elements: Map<number, DicomElement>,
): DicomElement | undefined {
  let offset = from;
  while (offset < reader.bytes.length) {
    const start = reader.start(offset, encoding);
    if (start.tag === TAG.pixelData) {
      if (start.length === UNDEFINED)
        throw bad('Expected plain pixels, found compressed fragments in an uncompressed file.');
      reader.end(start);
      return { offset: start.offset, length: start.length };
    }
    offset = start.length === UNDEFINED ? skipSequence(reader, start, encoding, 1) : reader.keep(start, elements);
  }
  return undefined;
}

/** The offset behind a sequence of undefined length. */
function skipSequence(reader: Reader, sequence: ElementStart, outer: Encoding, depth: number): number {
  if (depth > MAX_DEPTH) throw bad(`Expected sequences nested up to ${MAX_DEPTH} deep, found more.`);
  // An unknown element (UN) of undefined length is written as implicit VR little endian, whatever is around it.
  const encoding = sequence.vr === 'UN' ? { explicit: false, littleEndian: true } : outer;
  let offset = sequence.offset;
  for (;;) {
    const item = reader.start(offset, encoding);
    if (item.tag === SEQUENCE_END) return item.offset;
    if (item.tag !== ITEM)
      throw bad(`Expected a sequence item in ${tagName(sequence.tag)}, found ${tagName(item.tag)}.`);
    offset = item.length === UNDEFINED ? skipItem(reader, item.offset, encoding, depth) : reader.end(item);
  }
}

function skipItem(reader: Reader, from: number, encoding: Encoding, depth: number): number {
  let offset = from;
  for (;;) {
    const start = reader.start(offset, encoding);
    if (start.tag === ITEM_END) return start.offset;
    offset = start.length === UNDEFINED ? skipSequence(reader, start, encoding, depth + 1) : reader.end(start);
  }
}

class Reader {
  readonly view: DataView;

  constructor(readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Tag, VR and length of the element at `offset`; sequence delimiters have no VR in any encoding. */
  start(offset: number, { explicit, littleEndian }: Encoding): ElementStart {
    this.#need(offset, 8);
    const tag = this.view.getUint16(offset, littleEndian) * 0x10000 + this.view.getUint16(offset + 2, littleEndian);
    if (!explicit || tag >>> 16 === 0xfffe) {
      return { tag, vr: '', offset: offset + 8, length: this.view.getUint32(offset + 4, littleEndian) };
    }
    const vr = String.fromCharCode(this.bytes[offset + 4]!, this.bytes[offset + 5]!);
    if (!/^[A-Z]{2}$/.test(vr)) throw bad(`Expected a value representation for ${tagName(tag)}, found none.`);
    if (!LONG_VRS.has(vr)) {
      return { tag, vr, offset: offset + 8, length: this.view.getUint16(offset + 6, littleEndian) };
    }
    this.#need(offset, 12);
    return { tag, vr, offset: offset + 12, length: this.view.getUint32(offset + 8, littleEndian) };
  }

  /** Offset behind a value of known length. */
  end({ tag, offset, length }: ElementStart): number {
    if (offset + length > this.bytes.length) {
      throw new ImagingError(
        'truncated',
        `Expected ${length} bytes for ${tagName(tag)}, found ${this.bytes.length - offset}: the DICOM file is truncated or damaged.`,
      );
    }
    return offset + length;
  }

  /** Notes an element and returns the offset behind it. */
  keep(start: ElementStart, elements: Map<number, DicomElement>): number {
    const end = this.end(start);
    if (elements.size >= MAX_ELEMENTS) throw bad(`Expected at most ${MAX_ELEMENTS} attributes, found more.`);
    elements.set(start.tag, { offset: start.offset, length: start.length });
    return end;
  }

  #need(offset: number, count: number): void {
    if (offset + count > this.bytes.length) {
      throw new ImagingError(
        'truncated',
        'Expected another DICOM attribute, found the end of the file: it is truncated.',
      );
    }
  }
}
