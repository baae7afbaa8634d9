import { ImagingError } from '../../imaging-error.js';
import { BitReader } from './bit-reader.js';
import type { JpegScan } from './jpeg.js';

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
  const reader = new BitReader(scan.bytes, scan.start);
  const samples = new Uint16Array(rows * columns);
  const initial = 1 << (precision - pointTransform - 1);
  const restartRows = restartInterval / columns;
  let isFirstRow = true;
  for (let row = 0; row < rows; row++) {
    if (restartRows > 0 && row > 0 && row % restartRows === 0) {
      reader.restart();
      isFirstRow = true;
    }
    decodeRow(reader, dc, samples, row * columns, columns, isFirstRow ? 0 : predictor, initial);
    isFirstRow = false;
  }
  if (pointTransform > 0) for (let k = 0; k < samples.length; k++) samples[k]! <<= pointTransform;
  return samples;
}

/** `predictor` 0 stands for the first row, which has nothing above it. */
function decodeRow(
  reader: BitReader,
  table: JpegScan['dc'],
  samples: Uint16Array,
  from: number,
  columns: number,
  predictor: number,
  initial: number,
): void {
  const above = from - columns;
  let left = (predictor === 0 ? initial : samples[above]!) + difference(reader, table);
  samples[from] = left;
  if (predictor <= 1) {
    for (let k = from + 1; k < from + columns; k++) {
      left = (left + difference(reader, table)) & 0xffff;
      samples[k] = left;
    }
    return;
  }
  for (let i = 1; i < columns; i++) {
    const a = samples[from + i - 1]!;
    const b = samples[above + i]!;
    const c = samples[above + i - 1]!;
    samples[from + i] = predict(predictor, a, b, c) + difference(reader, table);
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

function difference(reader: BitReader, table: JpegScan['dc']): number {
  const size = reader.decode(table);
  if (size < 16) return reader.receiveExtend(size);
  if (size === 16) return 32768;
  throw new ImagingError('bad-dicom', `Expected JPEG differences of up to 16 bits, found ${size}.`);
}
