import type { Head } from './head.js';
import type { Lesion } from './lesions/lesion.js';
import { clamp, inside } from './shapes.js';
import type { Site } from './site.js';
import { newSite } from './site.js';
import type { BeamHardening } from './beam-hardening.js';

/** What a voxel of a tissue map can be (`tissues: true`). */
export const TISSUES = { outside: 0, scalp: 1, bone: 2, csf: 3, brain: 4, ventricle: 5 } as const;

/**
 * Anatomy and lesions of one thin section on a lattice of about 1 mm. Edges that must stay sharp (skin, bone, gas) are
 * kept as distances and resolved later, pixel by pixel; soft tissue is kept as density.
 */
export class CoarseSlice {
  readonly outer: Float32Array;
  readonly bone: Float32Array;
  readonly air: Float32Array;
  readonly boneHu: Float32Array;
  readonly soft: Float32Array;
  readonly tissue: Uint8Array;
  /** Share of each lesion type present in this section, 0..1. */
  readonly shares = new Map<number, Float32Array>();
  readonly #site: Site = newSite();
  readonly #spare: Float32Array[] = [];

  constructor(
    readonly side: number,
    readonly step: number,
    /** Scanner coordinates (mm) of the first lattice point. */
    readonly left: number,
    readonly top: number,
  ) {
    const n = side * side;
    this.outer = new Float32Array(n);
    this.bone = new Float32Array(n);
    this.air = new Float32Array(n);
    this.boneHu = new Float32Array(n);
    this.soft = new Float32Array(n);
    this.tissue = new Uint8Array(n);
  }

  fill(head: Head, lesions: readonly Lesion[], hardening: BeamHardening, w: number): void {
    for (const share of this.shares.values()) this.#spare.push(share.fill(0));
    this.shares.clear();
    const site = this.#site;
    const { side, step } = this;
    for (let row = 0; row < side; row++) {
      const v = this.top + row * step;
      for (let column = 0; column < side; column++) {
        const u = this.left + column * step;
        const n = row * side + column;
        head.locate(u, v, w, site);
        // Well outside the skull and the face: nothing to measure.
        if (site.inner > 45 && (site.z > 20 || u * u + v * v > 118 * 118)) {
          this.outer[n] = 20;
          this.bone[n] = 50;
          this.air[n] = 50;
          this.soft[n] = 0;
          this.tissue[n] = TISSUES.outside;
          continue;
        }
        head.measure(site);
        this.outer[n] = site.outer;
        this.bone[n] = site.bone;
        this.air[n] = site.air;
        this.boneHu[n] = site.boneHu;
        this.tissue[n] = tissueOf(site);
        let hu = site.soft;
        if (site.inner < 1.5 && lesions.length > 0) hu = this.#bleed(site, lesions, n);
        if (site.outer < 2) hu += hardening.at(u, v, w, site.inner, site.z);
        this.soft[n] = hu;
      }
    }
  }

  #bleed(site: Site, lesions: readonly Lesion[], n: number): number {
    const { x, y, z } = site;
    let hu = site.soft;
    let left = 1;
    for (const lesion of lesions) {
      const { low, high } = lesion;
      if (x < low[0] || x > high[0] || y < low[1] || y > high[1] || z < low[2] || z > high[2]) continue;
      const d = lesion.distance(site);
      if (lesion.surroundings !== undefined && d < 16) hu += left * lesion.surroundings(site, d);
      if (d > lesion.softness) continue;
      const share = Math.min(left, inside(d, lesion.softness));
      hu += share * (lesion.density(site) - hu);
      left -= share;
      this.#share(lesion.label)[n]! += share;
    }
    return hu;
  }

  #share(label: number): Float32Array {
    let share = this.shares.get(label);
    if (share === undefined) {
      share = this.#spare.pop() ?? new Float32Array(this.side * this.side);
      this.shares.set(label, share);
    }
    return share;
  }
}

function tissueOf(site: Site): number {
  if (site.outer > 0) return TISSUES.outside;
  if (site.bone < 0) return TISSUES.bone;
  if (site.inner > 0) return TISSUES.scalp;
  if (site.ventricle < 0) return TISSUES.ventricle;
  return site.parenchyma < 0 ? TISSUES.brain : TISSUES.csf;
}

/** Adds one thin section to the picture's sums: densities, and the share of each lesion type in each pixel. */
export function accumulate(
  slice: CoarseSlice,
  picture: { side: number; pixel: number; left: number; top: number; softness: number },
  weight: number,
  hu: Float32Array,
  shares: Map<number, Float32Array>,
): void {
  const { side, pixel, softness } = picture;
  const { outer, bone, air, boneHu, soft } = slice;
  const last = slice.side - 1.001;
  for (let row = 0; row < side; row++) {
    const gy = clamp((picture.top + row * pixel - slice.top) / slice.step, 0, last);
    const j = Math.floor(gy);
    const fy = gy - j;
    const base = j * slice.side;
    for (let column = 0; column < side; column++) {
      const gx = clamp((picture.left + column * pixel - slice.left) / slice.step, 0, last);
      const i = Math.floor(gx);
      const fx = gx - i;
      const a = base + i;
      const b = a + slice.side;
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
      if (bone[a]! < 3 || bone[b + 1]! < 3 || bone[a + 1]! < 3 || bone[b]! < 3) {
        const d = bone[a]! * w00 + bone[a + 1]! * w10 + bone[b]! * w01 + bone[b + 1]! * w11;
        const share = inside(d, softness);
        if (share > 0) {
          // Density of bone is taken from those corners that have one.
          const density = boneHu[a]! * w00 + boneHu[a + 1]! * w10 + boneHu[b]! * w01 + boneHu[b + 1]! * w11;
          value += share * (density - value);
          free = 1 - share;
        }
        const gas = air[a]! * w00 + air[a + 1]! * w10 + air[b]! * w01 + air[b + 1]! * w11;
        value += inside(gas, softness) * (-1000 - value);
      } else if (air[a]! < 3 || air[b + 1]! < 3) {
        const gas = air[a]! * w00 + air[a + 1]! * w10 + air[b]! * w01 + air[b + 1]! * w11;
        value += inside(gas, softness) * (-1000 - value);
      }
      if (skin > -softness) value += inside(-skin, softness) * (-1000 - value);
      hu[p]! += value * weight;
      for (const [label, share] of slice.shares) {
        const s = share[a]! * w00 + share[a + 1]! * w10 + share[b]! * w01 + share[b + 1]! * w11;
        if (s > 0) shares.get(label)![p]! += s * free * weight;
      }
    }
  }
}
