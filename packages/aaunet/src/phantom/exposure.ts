import type { CoarseSlice } from './coarse-slice.js';
import { clamp, inside } from './shapes.js';

/** Pixels across that thin structures need to be summed up well; smaller pictures are made of several times their own. */
const FINE = 256;

/** One slice as it adds up from thin sections: densities, and the share of each lesion type in each pixel. */
export class Exposure {
  /** Pixels of the sums in one of the picture, along each side. */
  readonly #fold: number;
  readonly #side: number;
  readonly #pixel: number;
  readonly #softness: number;
  readonly #hu: Float32Array;
  readonly #shares = new Map<number, Float32Array>();

  /** @param fieldOfView mm; `isDraft`: sums are as coarse as the picture */
  constructor(
    readonly size: number,
    private readonly fieldOfView: number,
    labels: Iterable<number>,
    isDraft: boolean,
  ) {
    this.#fold = isDraft ? 1 : Math.max(1, Math.round(FINE / size));
    this.#side = size * this.#fold;
    this.#pixel = fieldOfView / this.#side;
    this.#softness = Math.max(0.5, 0.6 * this.#pixel);
    this.#hu = new Float32Array(this.#side ** 2);
    for (const label of labels) this.#shares.set(label, new Float32Array(this.#side ** 2));
  }

  clear(): void {
    this.#hu.fill(0);
    for (const share of this.#shares.values()) share.fill(0);
  }

  /** Adds one thin section, which is so much of the slice. */
  add(section: CoarseSlice, weight: number): void {
    const side = this.#side;
    const pixel = this.#pixel;
    const softness = this.#softness;
    const hu = this.#hu;
    const first = -this.fieldOfView / 2 + pixel / 2;
    const { outer, bone, air, boneHu, soft } = section;
    const last = section.side - 1.001;
    for (let row = 0; row < side; row++) {
      const gy = clamp((first + row * pixel - section.top) / section.step, 0, last);
      const j = Math.floor(gy);
      const fy = gy - j;
      const base = j * section.side;
      for (let column = 0; column < side; column++) {
        const gx = clamp((first + column * pixel - section.left) / section.step, 0, last);
        const i = Math.floor(gx);
        const fx = gx - i;
        const a = base + i;
        const b = a + section.side;
        const p = row * side + column;
        const w00 = (1 - fx) * (1 - fy);
        const w10 = fx * (1 - fy);
        const w01 = (1 - fx) * fy;
        const w11 = fx * fy;
        const skin = outer[a]! * w00 + outer[a + 1]! * w10 + outer[b]! * w01 + outer[b + 1]! * w11;
        if (skin > softness) {
          hu[p]! -= 1000 * weight;
          continue;
        }
        let value = soft[a]! * w00 + soft[a + 1]! * w10 + soft[b]! * w01 + soft[b + 1]! * w11;
        let free = 1;
        const isNearBone = bone[a]! < 3 || bone[b + 1]! < 3 || bone[a + 1]! < 3 || bone[b]! < 3;
        if (isNearBone) {
          const d = bone[a]! * w00 + bone[a + 1]! * w10 + bone[b]! * w01 + bone[b + 1]! * w11;
          const share = inside(d, softness);
          if (share > 0) {
            // Density of bone is taken from those corners that have one.
            const density = boneHu[a]! * w00 + boneHu[a + 1]! * w10 + boneHu[b]! * w01 + boneHu[b + 1]! * w11;
            value += share * (density - value);
            free = 1 - share;
          }
        }
        if (isNearBone || air[a]! < 3 || air[b + 1]! < 3) {
          const gas = air[a]! * w00 + air[a + 1]! * w10 + air[b]! * w01 + air[b + 1]! * w11;
          value += inside(gas, softness) * (-1000 - value);
        }
        if (skin > -softness) value += inside(-skin, softness) * (-1000 - value);
        hu[p]! += value * weight;
        for (const [label, share] of section.shares) {
          const s = share[a]! * w00 + share[a + 1]! * w10 + share[b]! * w01 + share[b + 1]! * w11;
          if (s > 0) this.#shares.get(label)![p]! += s * free * weight;
        }
      }
    }
  }

  /** Density of a pixel of the picture, in HU. */
  huAt(row: number, column: number): number {
    return this.#sum(this.#hu, row, column) / this.#fold ** 2;
  }

  /** The lesion type that fills most of a pixel of the picture; 0 where lesions fill less than half of it. */
  labelAt(row: number, column: number): number {
    let [total, best, label] = [0, 0, 0];
    for (const [id, share] of this.#shares) {
      const sum = this.#sum(share, row, column);
      total += sum;
      if (sum > best) {
        best = sum;
        label = id;
      }
    }
    return total < 0.5 * this.#fold ** 2 ? 0 : label;
  }

  #sum(values: Float32Array, row: number, column: number): number {
    const fold = this.#fold;
    let sum = 0;
    for (let j = 0; j < fold; j++) {
      const start = (row * fold + j) * this.#side + column * fold;
      for (let i = 0; i < fold; i++) sum += values[start + i]!;
    }
    return sum;
  }
}
