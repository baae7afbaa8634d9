import type { Random } from './random.js';
import { bump } from './shapes.js';

interface Streak {
  readonly offset: number;
  readonly slope: number;
  readonly width: number;
  readonly hu: number;
}

/** What polychromatic radiation does to the numbers: cupping under the skull, bands and streaks between dense bones. */
export class BeamHardening {
  readonly #cup: number;
  readonly #bar: number;
  readonly #streaks: Streak[] = [];
  readonly #level: number;
  readonly #occiput: number;

  constructor(random: Random) {
    this.#cup = random.range(4, 11);
    this.#bar = random.range(5, 14);
    this.#level = random.range(-27, -21);
    this.#occiput = random.range(2, 8);
    const count = random.int(6, 12);
    for (let i = 0; i < count; i++) {
      this.#streaks.push({
        offset: random.range(-26, 30),
        slope: random.range(-0.35, 0.35),
        width: random.range(0.7, 3),
        hu: random.range(4, 13) * random.sign(),
      });
    }
  }

  /** Change in HU at scanner coordinates (mm), `inner`: distance to the inner table, `z`: height in the atlas. */
  at(u: number, v: number, w: number, inner: number, z: number): number {
    let hu = 0;
    if (inner < 3 && inner > -24) hu += this.#cup * Math.exp(Math.min(0, inner) / 4.5);
    if (z > -55 && z < 2) {
      const near = bump((z - this.#level) / 9, 0, 0);
      if (near > 0.02) {
        // The dark bar between the petrous bones, and streaks of both signs that cross it.
        const between = bump(u / 34, (v - 6) / 13, 0);
        hu -= this.#bar * near * between;
        const fade = near * bump(u / 44, (v - 4) / 34, 0);
        for (const s of this.#streaks) {
          const d = v - 6 - s.offset - s.slope * u - 0.15 * (w - Math.floor(w / 5) * 5 - 2.5);
          if (Math.abs(d) < 3 * s.width) hu += fade * s.hu * bump(d / s.width, 0, 0);
        }
        // The internal occipital crest throws a band forward.
        hu -= this.#occiput * near * bump(u / 3, (v - 55) / 25, 0);
      }
    }
    return hu;
  }
}
