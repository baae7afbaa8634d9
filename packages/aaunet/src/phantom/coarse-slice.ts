import type { Head } from './head.js';
import type { Lesion } from './lesions/lesion.js';
import { inside } from './shapes.js';
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
