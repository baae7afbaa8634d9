import type { Random } from './random.js';

const SIDE = 32;
const MASK = SIDE - 1;

/** Smooth periodic noise: normal values on a lattice, interpolated; about unit variance at the lattice points. */
export class ValueNoise {
  readonly #values = new Float32Array(SIDE * SIDE * SIDE);

  constructor(random: Random) {
    for (let i = 0; i < this.#values.length; i++) this.#values[i] = random.normal();
  }

  /** Value at a position in mm for lattice cells of `cell` mm. */
  at(x: number, y: number, z: number, cell: number): number {
    const v = this.#values;
    const u = x / cell + 1024;
    const w = y / cell + 1024;
    const t = z / cell + 1024;
    const i = Math.floor(u);
    const j = Math.floor(w);
    const k = Math.floor(t);
    const a = u - i;
    const b = w - j;
    const c = t - k;
    const fa = a * a * (3 - 2 * a);
    const fb = b * b * (3 - 2 * b);
    const fc = c * c * (3 - 2 * c);
    const i0 = i & MASK;
    const i1 = (i + 1) & MASK;
    const j0 = (j & MASK) * SIDE;
    const j1 = ((j + 1) & MASK) * SIDE;
    const k0 = (k & MASK) * SIDE * SIDE;
    const k1 = ((k + 1) & MASK) * SIDE * SIDE;
    const p = v[k0 + j0 + i0]! + fa * (v[k0 + j0 + i1]! - v[k0 + j0 + i0]!);
    const q = v[k0 + j1 + i0]! + fa * (v[k0 + j1 + i1]! - v[k0 + j1 + i0]!);
    const r = v[k1 + j0 + i0]! + fa * (v[k1 + j0 + i1]! - v[k1 + j0 + i0]!);
    const s = v[k1 + j1 + i0]! + fa * (v[k1 + j1 + i1]! - v[k1 + j1 + i0]!);
    const lower = p + fb * (q - p);
    return lower + fc * (r + fb * (s - r) - lower);
  }
}

/** A function of position stored on a lattice over a box in mm and interpolated; clamped to the box outside it. */
export class Lattice {
  readonly #values: Float32Array;
  readonly #nx: number;
  readonly #ny: number;
  readonly #nz: number;

  constructor(
    private readonly low: readonly [number, number, number],
    high: readonly [number, number, number],
    private readonly step: number,
  ) {
    this.#nx = Math.ceil((high[0] - low[0]) / step) + 2;
    this.#ny = Math.ceil((high[1] - low[1]) / step) + 2;
    this.#nz = Math.ceil((high[2] - low[2]) / step) + 2;
    this.#values = new Float32Array(this.#nx * this.#ny * this.#nz);
  }

  fill(f: (x: number, y: number, z: number) => number): this {
    let n = 0;
    for (let k = 0; k < this.#nz; k++) {
      for (let j = 0; j < this.#ny; j++) {
        for (let i = 0; i < this.#nx; i++) {
          this.#values[n++] = f(this.low[0] + i * this.step, this.low[1] + j * this.step, this.low[2] + k * this.step);
        }
      }
    }
    return this;
  }

  /** Divides the values by the length of their gradient (at least `floor` per mm): about the distance to value 0. */
  toDistance(floor: number): this {
    const source = this.#values.slice();
    const [nx, ny, nz] = [this.#nx, this.#ny, this.#nz];
    for (let k = 0; k < nz; k++) {
      for (let j = 0; j < ny; j++) {
        for (let i = 0; i < nx; i++) {
          const n = (k * ny + j) * nx + i;
          const gx = source[n + (i < nx - 1 ? 1 : 0)]! - source[n - (i > 0 ? 1 : 0)]!;
          const gy = source[n + (j < ny - 1 ? nx : 0)]! - source[n - (j > 0 ? nx : 0)]!;
          const gz = source[n + (k < nz - 1 ? nx * ny : 0)]! - source[n - (k > 0 ? nx * ny : 0)]!;
          const gradient = Math.sqrt(gx * gx + gy * gy + gz * gz) / (2 * this.step);
          this.#values[n] = source[n]! / Math.max(gradient, floor);
        }
      }
    }
    return this;
  }

  at(x: number, y: number, z: number): number {
    const v = this.#values;
    const nx = this.#nx;
    const ny = this.#ny;
    let u = (x - this.low[0]) / this.step;
    let w = (y - this.low[1]) / this.step;
    let t = (z - this.low[2]) / this.step;
    u = u < 0 ? 0 : u > nx - 1.001 ? nx - 1.001 : u;
    w = w < 0 ? 0 : w > ny - 1.001 ? ny - 1.001 : w;
    t = t < 0 ? 0 : t > this.#nz - 1.001 ? this.#nz - 1.001 : t;
    const i = Math.floor(u);
    const j = Math.floor(w);
    const k = Math.floor(t);
    const a = u - i;
    const b = w - j;
    const c = t - k;
    const n = (k * ny + j) * nx + i;
    const m = n + nx * ny;
    const p = v[n]! + a * (v[n + 1]! - v[n]!);
    const q = v[n + nx]! + a * (v[n + nx + 1]! - v[n + nx]!);
    const r = v[m]! + a * (v[m + 1]! - v[m]!);
    const s = v[m + nx]! + a * (v[m + nx + 1]! - v[m + nx]!);
    const lower = p + b * (q - p);
    return lower + c * (r + b * (s - r) - lower);
  }
}

/** A sum of plane waves of about one wavelength (mm): its zero set folds like a labyrinth. Unit variance. */
export function waves(random: Random, wavelength: number, count: number): (x: number, y: number, z: number) => number {
  const table = new Float64Array(count * 4);
  for (let n = 0; n < count; n++) {
    const cosine = random.range(-1, 1);
    const sine = Math.sqrt(1 - cosine * cosine);
    const angle = random.range(0, 2 * Math.PI);
    const k = (2 * Math.PI) / (wavelength * random.range(0.85, 1.2));
    table.set(
      [k * sine * Math.cos(angle), k * sine * Math.sin(angle), k * cosine, random.range(0, 2 * Math.PI)],
      n * 4,
    );
  }
  const scale = Math.sqrt(2 / count);
  return (x, y, z) => {
    let sum = 0;
    for (let n = 0; n < table.length; n += 4) {
      sum += Math.cos(table[n]! * x + table[n + 1]! * y + table[n + 2]! * z + table[n + 3]!);
    }
    return sum * scale;
  };
}
