const ZIGZAG_DIAGONALS = Array.from({ length: 15 }, (_, sum) =>
  Array.from({ length: 8 }, (_row, y) => [y, sum - y] as const).filter(([, x]) => x >= 0 && x < 8),
);
/** Place in a block of the k-th coefficient. */
const ZIGZAG = ZIGZAG_DIAGONALS.flatMap((diagonal, sum) =>
  (sum % 2 === 0 ? [...diagonal].reverse() : diagonal).map(([y, x]) => y * 8 + x),
);
const DC_SYMBOLS = Array.from({ length: 12 }, (_, size) => size);
const AC_SYMBOLS = Array.from({ length: 16 }, (_, run) =>
  Array.from({ length: 11 }, (_size, size) => run * 16 + size),
).flat();

const word = (value: number): number[] => [value >> 8, value & 255];
const segment = (marker: number, body: readonly number[]): number[] => [
  0xff,
  marker,
  ...word(body.length + 2),
  ...body,
];
/** A Huffman table whose codes all have one length, so that a symbol's code is its index. */
const table = (kind: number, length: number, symbols: readonly number[]): number[] => [
  kind,
  ...Array.from({ length: 16 }, (_, at) => (at + 1 === length ? symbols.length : 0)),
  ...symbols,
];

/** Gray pixels (row-major, 0 to 255; sizes multiples of 8) as a baseline JPEG, each coefficient rounded to whole numbers. */
export function grayJpeg(pixels: ArrayLike<number>, rows: number, columns: number): Uint8Array {
  const out = [
    ...[0xff, 0xd8],
    ...segment(0xdb, [0, ...new Array<number>(64).fill(1)]),
    ...segment(0xc0, [8, ...word(rows), ...word(columns), 1, 1, 0x11, 0]),
    ...segment(0xc4, [...table(0x00, 4, DC_SYMBOLS), ...table(0x10, 8, AC_SYMBOLS)]),
    ...segment(0xda, [1, 1, 0, 0, 63, 0]),
  ];
  let [bits, count, predicted] = [0, 0, 0];
  const put = (value: number, length: number): void => {
    for (let bit = length - 1; bit >= 0; bit--) {
      bits = (bits << 1) | ((value >> bit) & 1);
      if (++count < 8) continue;
      out.push(bits, ...(bits === 255 ? [0] : []));
      [bits, count] = [0, 0];
    }
  };
  const sizeOf = (value: number): number => (value === 0 ? 0 : Math.floor(Math.log2(Math.abs(value))) + 1);
  const putNumber = (value: number, size: number): void => {
    put(value < 0 ? value + (1 << size) - 1 : value, size);
  };
  for (let y0 = 0; y0 < rows; y0 += 8) {
    for (let x0 = 0; x0 < columns; x0 += 8) {
      const block = transform((y, x) => pixels[(y0 + y) * columns + x0 + x]! - 128);
      const difference = block[0]! - predicted;
      predicted = block[0]!;
      put(sizeOf(difference), 4);
      putNumber(difference, sizeOf(difference));
      let run = 0;
      for (let k = 1; k < 64; k++) {
        const value = block[ZIGZAG[k]!]!;
        if (value === 0) {
          run++;
          continue;
        }
        for (; run > 15; run -= 16) put(AC_SYMBOLS.indexOf(0xf0), 8);
        put(AC_SYMBOLS.indexOf(run * 16 + sizeOf(value)), 8);
        putNumber(value, sizeOf(value));
        run = 0;
      }
      if (run > 0) put(AC_SYMBOLS.indexOf(0), 8);
    }
  }
  put(127, 7);
  return Uint8Array.from([...out, 0xff, 0xd9]);
}

/** Weight of sample x in coefficient u, at u * 8 + x. */
const BASIS = Array.from({ length: 64 }, (_, index) => {
  const [u, x] = [index >> 3, index & 7];
  return (Math.cos(((2 * x + 1) * u * Math.PI) / 16) * (u === 0 ? Math.SQRT1_2 : 1)) / 2;
});

/** The cosine transform of a block, rounded. */
function transform(at: (y: number, x: number) => number): number[] {
  const block = Array.from({ length: 64 }, (_, index) => at(index >> 3, index & 7));
  return BASIS.map((_, index) => {
    const [v, u] = [index & 56, (index & 7) * 8];
    return Math.round(
      block.reduce((sum, value, place) => sum + value * BASIS[v + (place >> 3)]! * BASIS[u + (place & 7)]!, 0),
    );
  });
}
