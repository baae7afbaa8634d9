import { ImagingError } from '../../imaging-error.js';

/** How far a Huffman code is looked up at once. */
const LOOK = 9;

/** A Huffman table (T.81, annex C): the symbol and length of each code. */
export interface HuffmanTable {
  /** For each value of the next 9 bits: length << 8 | symbol, or 0 where the code is longer. */
  readonly fast: Int32Array;
  /** For each length the first code, one behind the last, and where its symbols begin. */
  readonly first: Int32Array;
  readonly limit: Int32Array;
  readonly offset: Int32Array;
  readonly symbols: Uint8Array;
}

/** Builds a table from the number of codes of each length 1 to 16 and the symbols in order. */
export function buildHuffman(counts: Uint8Array, symbols: Uint8Array): HuffmanTable {
  const fast = new Int32Array(1 << LOOK);
  const first = new Int32Array(17);
  const limit = new Int32Array(17);
  const offset = new Int32Array(17);
  let code = 0;
  let next = 0;
  for (let length = 1; length <= 16; length++) {
    const count = counts[length - 1]!;
    first[length] = code;
    limit[length] = code + count;
    offset[length] = next;
    if (code + count > 1 << length)
      throw new ImagingError('bad-dicom', 'Expected a Huffman table, found too many codes.');
    if (length <= LOOK) {
      for (let k = 0; k < count; k++) {
        const from = (code + k) << (LOOK - length);
        fast.fill((length << 8) | symbols[next + k]!, from, from + (1 << (LOOK - length)));
      }
    }
    next += count;
    code = (code + count) << 1;
  }
  return { fast, first, limit, offset, symbols };
}

/** Bits of a JPEG scan, the stuffed zero after FF taken out; a marker ends them, and behind it there are only zeros. */
export class BitReader {
  #bits = 0;
  #count = 0;
  #past = 0;

  constructor(
    readonly bytes: Uint8Array,
    public at: number,
  ) {}

  /** Makes sure of 16 bits. */
  #fill(): void {
    const { bytes } = this;
    while (this.#count <= 16) {
      let byte = bytes[this.at] ?? this.#beyond();
      if (byte !== 0xff) this.at++;
      else if (bytes[this.at + 1] === 0) this.at += 2;
      else if (bytes[this.at + 1] === 0xff) {
        this.at++;
        continue;
      } else byte = this.#beyond();
      this.#bits = (this.#bits << 8) | byte;
      this.#count += 8;
    }
  }

  #beyond(): number {
    // A few bytes are read ahead; more means that the picture goes on where the data does not.
    if (++this.#past > 4) {
      throw new ImagingError('truncated', 'Expected more compressed pixels, found the end of the JPEG scan.');
    }
    return 0;
  }

  /** The next symbol. */
  decode(table: HuffmanTable): number {
    if (this.#count < 16) this.#fill();
    const look = (this.#bits >>> (this.#count - LOOK)) & ((1 << LOOK) - 1);
    const entry = table.fast[look]!;
    if (entry !== 0) {
      this.#count -= entry >> 8;
      return entry & 0xff;
    }
    const next = (this.#bits >>> (this.#count - 16)) & 0xffff;
    for (let length = LOOK + 1; length <= 16; length++) {
      const code = next >>> (16 - length);
      if (code < table.limit[length]! && code >= table.first[length]!) {
        this.#count -= length;
        return table.symbols[table.offset[length]! + code - table.first[length]!]!;
      }
    }
    throw new ImagingError('bad-dicom', 'Expected a Huffman code of the table, found another: the pixels are damaged.');
  }

  /** A signed number of `size` bits, up to 15, as JPEG writes differences and coefficients. */
  receiveExtend(size: number): number {
    if (size === 0) return 0;
    if (this.#count < 16) this.#fill();
    this.#count -= size;
    const value = (this.#bits >>> this.#count) & ((1 << size) - 1);
    return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
  }

  /** Goes to the next restart marker and drops the bits before it. */
  restart(): void {
    const { bytes } = this;
    let at = this.at;
    while (at + 1 < bytes.length && !(bytes[at] === 0xff && bytes[at + 1]! >= 0xd0 && bytes[at + 1]! <= 0xd7)) at++;
    if (at + 1 >= bytes.length) {
      throw new ImagingError('truncated', 'Expected a restart marker in the JPEG scan, found none.');
    }
    this.at = at + 2;
    this.#bits = 0;
    this.#count = 0;
    this.#past = 0;
  }
}
