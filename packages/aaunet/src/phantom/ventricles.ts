import type { ValueNoise } from './noise-field.js';
import type { Random } from './random.js';
import type { Capsule } from './shapes.js';
import { chain, ellipsoid, smoothMin } from './shapes.js';
import type { Person } from './site.js';

/** Lateral, third and fourth ventricles with the aqueduct, wider with age. */
export class Ventricles {
  readonly #horns: readonly [Capsule[], Capsule[]];
  readonly #third: number;
  readonly #fourth: number;
  readonly #noise: ValueNoise;

  constructor(random: Random, noise: ValueNoise, person: Person) {
    this.#noise = noise;
    const wide = 0.55 + 0.75 * person.atrophy + random.range(-0.08, 0.12);
    const horns = (): Capsule[] => {
      // Sides differ a little in everybody; occipital horns differ most.
      const w = wide * random.range(0.92, 1.1);
      const occipital = random.range(0.4, 1.15);
      return chain([
        [14 + 2 * w, -40, 6, 2.2 * w],
        [9 + 2 * w, -30, 11, 5.2 * w],
        [4.5 + 2.5 * w, -12, 15, 4.8 * w],
        [9 + 2 * w, 6, 22, 4.8 * w],
        [15 + w, 22, 22, 5.8 * w],
        [23 + w, 35, 13, 7.2 * w],
        [24 + w, 46, 9, 5 * w * Math.sqrt(occipital)],
        [20, 52 + 12 * occipital, 8, 2.2 * w],
      ]).concat(
        chain([
          [24 + w, 36, 11, 5.5 * w],
          [32, 24, -6, 2.6 * w],
          [32, 4, -16, 1.7 * w],
          [28, -6, -19, 1.4 * w],
        ]),
      );
    };
    this.#horns = [horns(), horns()];
    this.#third = 1.3 + 2.6 * person.atrophy * random.range(0.7, 1.2);
    this.#fourth = random.range(0.85, 1.25);
  }

  /** Signed distance at a point of the undeformed brain, mm, negative inside. */
  distance(x: number, y: number, z: number): number {
    if (y < -55 || y > 75 || z > 42 || z < -50) return 30;
    const ax = Math.abs(x);
    let lateral = 30;
    if (ax < 52 && z > -30) {
      const side = this.#horns[x < 0 ? 0 : 1];
      for (const part of side) lateral = smoothMin(lateral, part.distance(ax, y, z), 2.5);
      // The head of the caudate dents the frontal horn, the septum parts the two sides.
      const caudate = ellipsoid(ax - 17.5, y + 22, z - 8, 8.5, 15, 14);
      lateral = Math.max(lateral, -caudate, 0.9 - ax);
      lateral += 0.5 * this.#noise.at(x, y, z, 9);
    }
    const third = Math.max(ellipsoid(x, y - 1, z - 1, 2.6 * this.#third, 15, 12), ax - this.#third);
    const f = this.#fourth;
    let fourth = ellipsoid(x, y - 25 - 1.5 * Math.abs(x) * 0.2, z + 27, 8 * f, 5.5 * f, 9 * f);
    if (z > -30 && z < 2) {
      const t = (z + 24) / 22;
      const dx = x;
      const dy = y - (22 - 9 * t);
      fourth = Math.min(fourth, Math.sqrt(dx * dx + dy * dy) - 1.1);
    }
    return Math.min(lateral, third, fourth);
  }

  /** Which ventricle a point of the ventricular system belongs to. */
  part(x: number, y: number, z: number): 'lateral' | 'third' | 'fourth' {
    if (z < -12 && Math.abs(x) < 14) return 'fourth';
    if (Math.abs(x) <= this.#third + 0.6 && z < 13 && y < 18) return 'third';
    return 'lateral';
  }
}
