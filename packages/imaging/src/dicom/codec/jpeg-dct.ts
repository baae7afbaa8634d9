import { ImagingError } from '../../imaging-error.js';
import { BitReader } from './bit-reader.js';
import type { JpegScan } from './jpeg.js';

/** Place in an 8 x 8 block of the k-th coefficient of the scan. */
const ZIGZAG = zigzag();
/** cos((2x + 1) u pi / 16) * C(u) / 2 at [x * 8 + u]. */
const BASIS = Float64Array.from({ length: 64 }, (_, index) => {
  const [x, u] = [index >> 3, index & 7];
  return (Math.cos(((2 * x + 1) * u * Math.PI) / 16) * (u === 0 ? Math.SQRT1_2 : 1)) / 2;
});

/** Decodes the scan of a sequential DCT JPEG (T.81, annex F) of one component with 8 or 12 bits. */
export function decodeDctScan(scan: JpegScan): Uint16Array {
  const { rows, columns, precision, restartInterval, dc, ac, quantization } = scan;
  if (ac === undefined || quantization === undefined) {
    throw new ImagingError('bad-dicom', 'Expected Huffman and quantization tables in the JPEG frame, found too few.');
  }
  const reader = new BitReader(scan.bytes, scan.start);
  const samples = new Uint16Array(rows * columns);
  const block = new Float64Array(64);
  const across = Math.ceil(columns / 8);
  const count = across * Math.ceil(rows / 8);
  let predicted = 0;
  for (let index = 0; index < count; index++) {
    if (restartInterval > 0 && index > 0 && index % restartInterval === 0) {
      reader.restart();
      predicted = 0;
    }
    block.fill(0);
    predicted += reader.receiveExtend(Math.min(15, reader.decode(dc)));
    block[0] = predicted * quantization[0]!;
    let isFlat = true;
    for (let k = 1; k < 64; k++) {
      const symbol = reader.decode(ac);
      const size = symbol & 15;
      if (size === 0) {
        if (symbol !== 0xf0) break;
        k += 15;
        continue;
      }
      k += symbol >> 4;
      if (k > 63) throw new ImagingError('bad-dicom', 'Expected 64 coefficients in a JPEG block, found more.');
      block[ZIGZAG[k]!] = reader.receiveExtend(size) * quantization[k]!;
      isFlat = false;
    }
    if (isFlat) block.fill(block[0] / 8);
    else inverseDct(block);
    store(block, samples, (index % across) * 8, Math.floor(index / across) * 8, rows, columns, precision);
  }
  return samples;
}

function store(
  block: Float64Array,
  samples: Uint16Array,
  x0: number,
  y0: number,
  rows: number,
  columns: number,
  precision: number,
): void {
  const middle = 1 << (precision - 1);
  const most = (1 << precision) - 1;
  for (let y = 0; y < 8 && y0 + y < rows; y++) {
    for (let x = 0; x < 8 && x0 + x < columns; x++) {
      const value = Math.round(block[y * 8 + x]!) + middle;
      samples[(y0 + y) * columns + x0 + x] = value < 0 ? 0 : value > most ? most : value;
    }
  }
}

const scratch = new Float64Array(64);

/** The inverse cosine transform in double precision, rows then columns. */
function inverseDct(block: Float64Array): void {
  for (let row = 0; row < 64; row += 8) {
    for (let x = 0; x < 8; x++) {
      let sum = 0;
      for (let u = 0; u < 8; u++) sum += BASIS[x * 8 + u]! * block[row + u]!;
      scratch[row + x] = sum;
    }
  }
  for (let x = 0; x < 8; x++) {
    for (let y = 0; y < 8; y++) {
      let sum = 0;
      for (let v = 0; v < 8; v++) sum += BASIS[y * 8 + v]! * scratch[v * 8 + x]!;
      block[y * 8 + x] = sum;
    }
  }
}

function zigzag(): Uint8Array {
  const order: number[] = [];
  for (let sum = 0; sum < 15; sum++) {
    const diagonal = Array.from({ length: 8 }, (_, y) => [y, sum - y] as const).filter(([, x]) => x >= 0 && x < 8);
    if (sum % 2 === 0) diagonal.reverse();
    for (const [y, x] of diagonal) order.push(y * 8 + x);
  }
  return Uint8Array.from(order);
}
