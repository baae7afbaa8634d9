import type { Random } from './random.js';

/**
 * Periodic pictures of CT-like noise with unit variance: white noise smoothed over about a pixel of the reconstruction
 * kernel, with the slow part taken out, as filtered back-projection does.
 */
export class NoiseTexture {
  readonly #tiles: Float32Array[] = [];

  constructor(
    readonly side: number,
    random: Random,
    tiles = 2,
  ) {
    for (let t = 0; t < tiles; t++) this.#tiles.push(tile(side, random));
  }

  /** A fresh picture of noise, row-major side x side, made from shifted tiles. */
  draw(random: Random, out: Float32Array): void {
    const { side } = this;
    const scale = Math.SQRT1_2;
    out.fill(0);
    for (const values of this.#tiles) {
      const dx = random.int(0, side - 1);
      const dy = random.int(0, side - 1);
      const sign = scale * random.sign();
      for (let y = 0; y < side; y++) {
        const from = ((y + dy) % side) * side;
        const to = y * side;
        for (let x = 0; x < side; x++) {
          const sx = x + dx;
          out[to + x]! += sign * values[from + (sx < side ? sx : sx - side)]!;
        }
      }
    }
  }
}

function tile(side: number, random: Random): Float32Array {
  const n = side * side;
  const white = new Float32Array(n);
  for (let i = 0; i < n; i++) white[i] = random.next() + random.next() + random.next() - 1.5;
  const fine = blur(blur(white, side, 1), side, side > 300 ? 1 : 0);
  const slow = blur(blur(fine, side, 4), side, 4);
  let sum = 0;
  for (let i = 0; i < n; i++) {
    fine[i]! -= 0.8 * slow[i]!;
    sum += fine[i]! ** 2;
  }
  const scale = 1 / Math.sqrt(sum / n);
  for (let i = 0; i < n; i++) fine[i]! *= scale;
  return fine;
}

/** Periodic box blur of half width r in both directions. */
function blur(source: Float32Array, side: number, r: number): Float32Array {
  if (r === 0) return source.slice();
  const middle = new Float32Array(source.length);
  const out = new Float32Array(source.length);
  const share = 1 / (2 * r + 1);
  for (let y = 0; y < side; y++) {
    const row = y * side;
    let sum = 0;
    for (let x = -r; x <= r; x++) sum += source[row + ((x + side) % side)]!;
    for (let x = 0; x < side; x++) {
      middle[row + x] = sum * share;
      sum += source[row + ((x + r + 1) % side)]! - source[row + ((x - r + side) % side)]!;
    }
  }
  for (let x = 0; x < side; x++) {
    let sum = 0;
    for (let y = -r; y <= r; y++) sum += middle[((y + side) % side) * side + x]!;
    for (let y = 0; y < side; y++) {
      out[y * side + x] = sum * share;
      sum += middle[((y + r + 1) % side) * side + x]! - middle[((y - r + side) % side) * side + x]!;
    }
  }
  return out;
}
