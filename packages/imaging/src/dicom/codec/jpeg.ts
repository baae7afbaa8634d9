import { ImagingError } from '../../imaging-error.js';
import { buildHuffman, type HuffmanTable } from './bit-reader.js';
import type { DecodedFrame, FrameFormat } from './frame.js';
import { decodeDctScan } from './jpeg-dct.js';
import { decodeLosslessScan } from './jpeg-lossless.js';

/** A JPEG code stream's tables and headers before its only scan. */
export interface JpegScan {
  readonly bytes: Uint8Array;
  /** Where the entropy-coded data begins. */
  readonly start: number;
  readonly rows: number;
  readonly columns: number;
  readonly precision: number;
  readonly restartInterval: number;
  readonly dc: HuffmanTable;
  /** Of the DCT kinds alone */
  readonly ac: HuffmanTable | undefined;
  readonly quantization: Uint16Array | undefined;
  /** Predictor and point transform of the lossless process of JPEG */
  readonly predictor: number;
  readonly pointTransform: number;
}

const SOF_BASELINE = 0xc0;
const SOF_EXTENDED = 0xc1;
const SOF_LOSSLESS = 0xc3;
const DHT = 0xc4;
const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;
const DQT = 0xdb;
const DRI = 0xdd;

const bad = (message: string): ImagingError => new ImagingError('bad-dicom', message);

interface Header {
  kind: number;
  precision: number;
  rows: number;
  columns: number;
  quantizer: number;
}

/** A grey picture that is a file of its own. */
export interface GrayPicture {
  readonly rows: number;
  readonly columns: number;
  /** Row-major, from 0 (black) to 255. */
  readonly samples: Uint16Array;
}

/** Pictures of slices have a quarter of a million pixels; more than this many are refused before anything is allocated. */
const MAX_PICTURE_PIXELS = 2 ** 24;

/** Decodes a grey JPEG file of 8 bits and of the size that it says. @throws ImagingError where it is another, or damaged */
export function readGrayJpeg(bytes: Uint8Array): GrayPicture {
  const { scan, process } = readHeaders(bytes, { bitsAllocated: 8 });
  const { rows, columns } = scan;
  if (rows * columns === 0 || rows * columns > MAX_PICTURE_PIXELS) {
    throw bad(`Expected a JPEG picture of up to ${MAX_PICTURE_PIXELS} pixels, found ${rows} x ${columns}.`);
  }
  return { rows, columns, samples: process === SOF_LOSSLESS ? decodeLosslessScan(scan) : decodeDctScan(scan) };
}

/**
 * Decodes a grey JPEG frame (T.81): the baseline and extended sequential processes with 8 or 12 bits, and the lossless
 * process with 2 to 16 bits, all predictors, point transform and restart markers.
 */
export function decodeJpeg(bytes: Uint8Array, format: FrameFormat): DecodedFrame {
  const { scan, process } = readHeaders(bytes, format);
  if (process === SOF_LOSSLESS) return { samples: decodeLosslessScan(scan), maxError: 0 };
  return { samples: decodeDctScan(scan), maxError: undefined };
}

/** A picture of any size, where the format names none. */
type ExpectedFormat = Partial<FrameFormat> & Pick<FrameFormat, 'bitsAllocated'>;

function readHeaders(bytes: Uint8Array, format: ExpectedFormat): { scan: JpegScan; process: number } {
  if (bytes[0] !== 0xff || bytes[1] !== SOI) throw bad('Expected a JPEG code stream, found something else.');
  const dcTables = new Map<number, HuffmanTable>();
  const acTables = new Map<number, HuffmanTable>();
  const quantizers = new Map<number, Uint16Array>();
  let header: Header | undefined;
  let restartInterval = 0;
  let at = 2;
  for (;;) {
    const { marker, segment, next } = readSegment(bytes, at);
    at = next;
    if (marker === DHT) readHuffman(segment, dcTables, acTables);
    else if (marker === DQT) readQuantizers(segment, quantizers);
    else if (marker === DRI) restartInterval = word(segment, 0);
    else if (isFrameHeader(marker)) header = readFrameHeader(marker, segment, format);
    else if (marker === SOS) {
      if (header === undefined) throw bad('Expected a JPEG frame header before its scan, found none.');
      if (segment.length < 6 || segment[0] !== 1) throw bad('Expected a JPEG scan of one component, found another.');
      const dc = dcTables.get(segment[2]! >> 4);
      if (dc === undefined) throw bad('Expected the Huffman table that the JPEG scan names, found none.');
      const scan: JpegScan = {
        bytes,
        start: next,
        rows: header.rows,
        columns: header.columns,
        precision: header.precision,
        restartInterval,
        dc,
        ac: acTables.get(segment[2]! & 15),
        quantization: quantizers.get(header.quantizer),
        predictor: segment[3]!,
        pointTransform: segment[5]! & 15,
      };
      return { scan, process: header.kind };
    }
  }
}

function readSegment(bytes: Uint8Array, from: number): { marker: number; segment: Uint8Array; next: number } {
  let at = from;
  // Any number of FF may stand before a marker.
  while (bytes[at] === 0xff && bytes[at + 1] === 0xff) at++;
  const marker = bytes[at + 1];
  if (at + 4 > bytes.length || marker === undefined) {
    throw new ImagingError('truncated', 'Expected a JPEG marker, found the end of the frame.');
  }
  if (bytes[at] !== 0xff || marker === 0) throw bad('Expected a JPEG marker, found other bytes: the frame is damaged.');
  if (marker === EOI) throw bad('Expected a JPEG scan, found the end of the picture.');
  const length = bytes[at + 2]! * 256 + bytes[at + 3]!;
  const next = at + 2 + length;
  if (length < 2 || next > bytes.length) {
    throw new ImagingError('truncated', 'Expected a whole JPEG segment, found the end of the frame.');
  }
  return { marker, segment: bytes.subarray(at + 4, next), next };
}

function word(segment: Uint8Array, at: number): number {
  if (at + 2 > segment.length) throw new ImagingError('truncated', 'Expected a longer JPEG segment, found its end.');
  return segment[at]! * 256 + segment[at + 1]!;
}

function isFrameHeader(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== DHT && marker !== 0xc8 && marker !== 0xcc;
}

function readFrameHeader(process: number, segment: Uint8Array, format: ExpectedFormat): Header {
  if (process !== SOF_BASELINE && process !== SOF_EXTENDED && process !== SOF_LOSSLESS) {
    throw new ImagingError(
      'unsupported',
      'Expected a baseline, extended sequential or lossless Huffman JPEG, found another process (progressive, hierarchical or arithmetic): convert it first, for instance with dcmdjpeg.',
    );
  }
  if (segment.length < 9) throw new ImagingError('truncated', 'Expected a whole JPEG frame header, found its end.');
  const precision = segment[0]!;
  const found = [word(segment, 1), word(segment, 3)] as const;
  const { rows = found[0], columns = found[1], bitsAllocated } = format;
  if (found[0] !== rows || found[1] !== columns || segment[5] !== 1) {
    throw bad(
      `Expected a JPEG picture of ${rows} x ${columns} grey pixels, found ${found[0]} x ${found[1]} of ${segment[5]!} components.`,
    );
  }
  const fits = process === SOF_LOSSLESS ? precision >= 2 && precision <= 16 : precision === 8 || precision === 12;
  if (!fits || precision > bitsAllocated) {
    throw bad(`Expected JPEG samples of at most ${bitsAllocated} bits, found ${precision}.`);
  }
  return { kind: process, precision, rows, columns, quantizer: segment[8]! };
}

function readHuffman(segment: Uint8Array, dc: Map<number, HuffmanTable>, ac: Map<number, HuffmanTable>): void {
  let at = 0;
  while (at < segment.length) {
    const kind = segment[at]!;
    const counts = segment.subarray(at + 1, at + 17);
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (at + 17 + total > segment.length) {
      throw new ImagingError('truncated', 'Expected a whole Huffman table, found its end.');
    }
    const table = buildHuffman(counts, segment.subarray(at + 17, at + 17 + total));
    (kind >> 4 === 0 ? dc : ac).set(kind & 15, table);
    at += 17 + total;
  }
}

function readQuantizers(segment: Uint8Array, quantizers: Map<number, Uint16Array>): void {
  let at = 0;
  while (at < segment.length) {
    const kind = segment[at++]!;
    const wide = kind >> 4 !== 0;
    const table = Uint16Array.from({ length: 64 }, (_, k) =>
      wide ? word(segment, at + 2 * k) : (segment[at + k] ?? 0),
    );
    at += wide ? 128 : 64;
    if (at > segment.length) throw new ImagingError('truncated', 'Expected a whole quantization table, found its end.');
    quantizers.set(kind & 15, table);
  }
}
