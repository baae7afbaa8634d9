import { labelByName } from '@aaunet/imaging';

import type { Exposure } from './exposure.js';
import { visibleGas } from './gas.js';
import { NoiseTexture } from './noise-texture.js';
import { Random } from './random.js';
import { clamp } from './shapes.js';

const GAS = labelByName('Pneumocranium').id;
const AIR_HU = -1000;

/** The scanner of one phantom: what it sees and what it adds to the head. */
export class Scanner {
  /** mm; so wide and high is a slice. */
  readonly fieldOfView: number;
  /** Standard deviation of the noise in soft tissue. */
  readonly noiseHu: number;
  /** mm from the top of the head to that of the first slice. */
  readonly margin: number;
  /** Radius in mm of the head holder, where one is in the picture. */
  readonly #holder: number | undefined;
  readonly #texture: NoiseTexture;
  readonly #grain: Random;
  readonly #noise: Float32Array;

  constructor(
    seed: number,
    readonly size: number,
  ) {
    const random = Random.of(seed, 'scanner');
    this.fieldOfView = random.range(222, 242);
    this.noiseHu = random.range(3, 5) * (size / 512) ** 0.4;
    this.margin = random.range(3, 10);
    this.#holder = random.chance(0.6) ? random.range(94, 99) : undefined;
    this.#texture = new NoiseTexture(size, Random.of(seed, 'texture'));
    this.#grain = Random.of(seed, 'grain');
    this.#noise = new Float32Array(size * size);
  }

  /** mm. */
  get pixel(): number {
    return this.fieldOfView / this.size;
  }

  /** Makes a slice's picture and label map of an exposure: adds the head holder, gas (its share of each pixel) and fresh noise. */
  develop(exposure: Exposure, gas: ReadonlyMap<number, number>, image: Int16Array, labels: Uint8Array): void {
    const { size, pixel } = this;
    this.#texture.draw(this.#grain, this.#noise);
    for (let row = 0; row < size; row++) {
      const y = (row - size / 2) * pixel;
      for (let column = 0; column < size; column++) {
        const x = (column - size / 2) * pixel;
        const p = row * size + column;
        let value = exposure.huAt(row, column);
        let label = exposure.labelAt(row, column);
        if (this.#holder !== undefined && value < -900) value = Math.max(value, holderHu(x, y, this.#holder));
        const share = gas.get(p);
        if (share !== undefined) {
          value += share * (AIR_HU - value);
          if (visibleGas(share)) label = GAS;
        }
        const noise = this.#noise[p]! * this.noiseHu * noiseFactor(x, y, value);
        image[p] = clamp(Math.round(value + noise), -1024, 3071);
        labels[p] = label;
      }
    }
  }
}

/** Noise is strongest in the middle, where fewest photons arrive. */
function noiseFactor(x: number, y: number, hu: number): number {
  return hu < -900 ? 1.3 : 0.85 + 0.5 * Math.exp(((x * x + y * y) / 80 ** 2) * -1.5);
}

/** The head holder: a thin shell behind the head, open to the front. */
function holderHu(x: number, y: number, radius: number): number {
  if (y < 10) return AIR_HU;
  const d = Math.abs(Math.sqrt(x * x * 1.06 + (y - 4) ** 2 * 0.72) - radius);
  if (y > 108 || d > 2.4) return AIR_HU;
  return d > 1.2 ? AIR_HU + 520 * (1 - (d - 1.2) / 1.2) : -480 - 330 * (1 - d / 1.2);
}
