import { ImagingError } from '../../imaging-error.js';
import type { HuffmanTable } from './bit-reader.js';
import type { JpegScan } from './jpeg.js';

/** Bits that are looked up at once: enough for most codes together with the difference behind them. */
const LOOK = 13;

/**
 * Decodes the scan of a lossless JPEG (T.81, annex H): each sample is a prediction from its neighbours plus a Huffman-coded
 * difference, modulo 2^16.
 */
export function decodeLosslessScan(scan: JpegScan): Uint16Array {
  const { rows, columns, precision, predictor, pointTransform, restartInterval, dc } = scan;
  if (predictor < 1 || predictor > 7 || pointTransform >= precision) {
    throw new ImagingError('bad-dicom', `Expected a JPEG predictor from 1 to 7, found ${predictor}.`);
  }
  if (restartInterval % columns !== 0) {
    throw new ImagingError('bad-dicom', 'Expected JPEG restarts at the ends of rows, found others.');
  }
  const samples = new Uint16Array(rows * columns);
  const differences = new Int32Array(columns);
  const combined = combine(dc);
  const initial = 1 << (precision - pointTransform - 1);
  const restartRows = restartInterval / columns;
  let segment = unstuff(scan.bytes, scan.start, columns);
  let reader = new DifferenceReader(segment.data, segment.length);
  let isFirstRow = true;
  for (let row = 0; row < rows; row++) {
    if (restartRows > 0 && row > 0 && row % restartRows === 0) {
      segment = unstuff(scan.bytes, afterRestart(scan.bytes, segment.end), columns);
      reader = new DifferenceReader(segment.data, segment.length);
      isFirstRow = true;
    }
    reader.read(differences, dc, combined);
    reconstruct(samples, row * columns, differences, isFirstRow ? 0 : predictor, initial);
    isFirstRow = false;
  }
  if (pointTransform > 0) for (let k = 0; k < samples.length; k++) samples[k]! <<= pointTransform;
  return samples;
}

/** Place behind the restart marker at `at`. */
function afterRestart(bytes: Uint8Array, at: number): number {
  const marker = bytes[at + 1];
  if (marker === undefined) {
    throw new ImagingError('truncated', 'Expected a restart marker in the JPEG scan, found the end of the frame.');
  }
  if (marker < 0xd0 || marker > 0xd7) {
    throw new ImagingError('bad-dicom', 'Expected a restart marker in the JPEG scan, found another marker.');
  }
  return at + 2;
}

/**
 * The entropy-coded bytes up to the next marker without the zeros stuffed behind FF, and zeros for as much as a whole row
 * could read beyond their end.
 */
function unstuff(bytes: Uint8Array, start: number, columns: number): { data: Uint8Array; length: number; end: number } {
  let end = start;
  const stuffed: number[] = [];
  for (;;) {
    end = bytes.indexOf(0xff, end);
    if (end < 0) end = bytes.length;
    if (end >= bytes.length || bytes[end + 1] === undefined) break;
    if (bytes[end + 1] === 0) {
      stuffed.push(end + 1);
      end += 2;
    } else if (bytes[end + 1] === 0xff) {
      // Fill bytes may stand before a marker; the last FF is the marker's.
      stuffed.push(end);
      end++;
    } else break;
  }
  const length = end - start - stuffed.length;
  const data = new Uint8Array(length + 4 * columns + 8);
  let from = start;
  let to = 0;
  for (const place of [...stuffed, end]) {
    data.set(bytes.subarray(from, place), to);
    to += place - from;
    from = place + 1;
  }
  return { data, length, end };
}

/** For each value of the next 13 bits: difference << 8 | bits used, or 0 where 13 bits are too few. */
function combine({ first, limit, offset, symbols }: HuffmanTable): Int32Array {
  const table = new Int32Array(1 << LOOK);
  for (let length = 1; length <= LOOK; length++) {
    for (let code = first[length]!; code < limit[length]!; code++) {
      const size = symbols[offset[length]! + code - first[length]!]!;
      const free = LOOK - length - size;
      if (size > 15 || free < 0) continue;
      for (let extra = 0; extra < 1 << size; extra++) {
        const from = (((code << size) | extra) << free) >>> 0;
        table.fill((extend(extra, size) << 8) | (length + size), from, from + (1 << free));
      }
    }
  }
  return table;
}

function extend(value: number, size: number): number {
  return size > 0 && value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
}

class DifferenceReader {
  #at = 0;
  #bits = 0;
  #count = 0;

  constructor(
    readonly data: Uint8Array,
    readonly length: number,
  ) {}

  /** Fills a row. One loop over local variables: it decides how fast lossless series are read. */
  read(out: Int32Array, table: HuffmanTable, combined: Int32Array): void {
    const { data } = this;
    let at = this.#at;
    let bits = this.#bits;
    let count = this.#count;
    for (let index = 0; index < out.length; index++) {
      if (count < 16) {
        bits = (bits << 16) | (data[at]! << 8) | data[at + 1]!;
        at += 2;
        count += 16;
      }
      const entry = combined[(bits >>> (count - LOOK)) & ((1 << LOOK) - 1)]!;
      if (entry !== 0) {
        count -= entry & 0xff;
        out[index] = entry >> 8;
        continue;
      }
      const [size, used] = longCode(table, (bits >>> (count - 16)) & 0xffff);
      count -= used;
      if (size === 16) {
        out[index] = 32768;
        continue;
      }
      if (count < 16) {
        bits = (bits << 16) | (data[at]! << 8) | data[at + 1]!;
        at += 2;
        count += 16;
      }
      count -= size;
      out[index] = extend((bits >>> count) & ((1 << size) - 1), size);
    }
    this.#at = at;
    this.#bits = bits;
    this.#count = count;
    if (at - (count >> 3) > this.length) {
      throw new ImagingError('truncated', 'Expected more compressed pixels, found the end of the JPEG scan.');
    }
  }
}

/** The size that a code of up to 16 bits stands for, and the code's length. */
function longCode({ first, limit, offset, symbols }: HuffmanTable, next: number): readonly [number, number] {
  for (let length = 1; length <= 16; length++) {
    const code = next >>> (16 - length);
    if (code >= limit[length]! || code < first[length]!) continue;
    const size = symbols[offset[length]! + code - first[length]!]!;
    if (size <= 16) return [size, length];
    throw new ImagingError('bad-dicom', `Expected JPEG differences of up to 16 bits, found ${size}.`);
  }
  throw new ImagingError('bad-dicom', 'Expected a Huffman code of the table, found another: the pixels are damaged.');
}

/** Adds differences to predictions; `predictor` 0 stands for the first row, which has nothing above it. */
function reconstruct(
  samples: Uint16Array,
  from: number,
  differences: Int32Array,
  predictor: number,
  initial: number,
): void {
  const columns = differences.length;
  const above = from - columns;
  let left = ((predictor === 0 ? initial : samples[above]!) + differences[0]!) & 0xffff;
  samples[from] = left;
  if (predictor <= 1) {
    for (let i = 1; i < columns; i++) {
      left += differences[i]!;
      samples[from + i] = left;
    }
    return;
  }
  for (let i = 1; i < columns; i++) {
    const prediction = predict(predictor, left, samples[above + i]!, samples[above + i - 1]!);
    left = (prediction + differences[i]!) & 0xffff;
    samples[from + i] = left;
  }
}

/** Table H.1: from the sample to the left (a), above (b) and above to the left (c). */
function predict(predictor: number, a: number, b: number, c: number): number {
  switch (predictor) {
    case 2:
      return b;
    case 3:
      return c;
    case 4:
      return a + b - c;
    case 5:
      return a + ((b - c) >> 1);
    case 6:
      return b + ((a - c) >> 1);
    default:
      return (a + b) >> 1;
  }
}
