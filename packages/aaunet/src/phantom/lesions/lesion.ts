import type { ValueNoise } from '../noise-field.js';
import type { Random } from '../random.js';
import type { Head, Push } from '../head.js';
import type { Site } from '../site.js';

export type LesionType = 'ICH' | 'SDH' | 'SAH' | 'EDH' | 'CSDH' | 'Pneumocranium' | 'IVH';

export const LESION_TYPES = ['ICH', 'SDH', 'SAH', 'EDH', 'CSDH', 'Pneumocranium', 'IVH'] as const;

/** What is planned before any geometry exists: enough to say in which slices the lesion will show. */
export interface LesionPlan {
  readonly type: LesionType;
  /** -1 patient's right, 1 left, 0 both or middle. */
  readonly side: -1 | 0 | 1;
  /** Where, in words of that type (see each type's file). */
  readonly place: string;
  /** Centre and extent along the atlas's z, mm. */
  readonly z: number;
  readonly extent: number;
  /** Low contrast. */
  readonly faint: boolean;
  readonly seed: number;
}

/** A lesion that can be asked at any site of its head. */
export interface Lesion {
  readonly plan: LesionPlan;
  readonly label: number;
  /** Atlas box [low, high] outside of which `distance` is not asked. */
  readonly low: readonly [number, number, number];
  readonly high: readonly [number, number, number];
  /** Half width in mm over which the lesion fades into its surroundings. */
  readonly softness: number;
  /** Signed distance-like value, mm, negative inside. */
  distance(site: Site): number;
  /** Density in HU at a site inside. */
  density(site: Site): number;
  /** Change of the tissue around (oedema), HU, at the lesion's distance. */
  surroundings?(site: Site, distance: number): number;
  readonly push?: Push;
  /** Of a collection on the inner table: how thick it is at a site's direction, mm; the brain starts beneath it. */
  thickness?(site: Site): number;
}

export interface LesionContext {
  readonly head: Head;
  readonly random: Random;
  readonly noise: ValueNoise;
}

/** Azimuth of a site seen from the middle of the head: 0 in front, ±90 degrees at the ears (left positive). */
export function azimuth(x: number, y: number): number {
  return (Math.atan2(x, -y) * 180) / Math.PI;
}

/** The point of the inner table in a direction, at height z of the atlas. */
export function tableAt(head: Head, azimuthDegrees: number, z: number, depth = 0): [number, number, number] {
  const a = (azimuthDegrees * Math.PI) / 180;
  const dx = Math.sin(a);
  const dy = -Math.cos(a);
  let low = 0;
  let high = 110;
  for (let i = 0; i < 24; i++) {
    const middle = (low + high) / 2;
    if (head.skull.cavity(dx * middle, dy * middle, z) < -depth) low = middle;
    else high = middle;
  }
  return [dx * low, dy * low, z];
}

/** Texture of clot: mottled, with darker swirls where blood has not clotted. */
export function clot(noise: ValueNoise, site: Site, base: number, mottle: number, swirl: number): number {
  const { x, y, z } = site;
  const fine = noise.at(x + 50, y, z, 4.5);
  const coarse = noise.at(x, y + 70, z, 12);
  const low = coarse > 0.5 ? (coarse - 0.5) * swirl : 0;
  return base + mottle * (0.6 * fine + 0.8 * coarse) - low;
}
