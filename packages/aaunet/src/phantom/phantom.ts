import type { Affine, Volume } from '@aaunet/imaging';
import { labelByName } from '@aaunet/imaging';

import { BeamHardening } from './beam-hardening.js';
import { accumulate, CoarseSlice } from './coarse-slice.js';
import { gasInSlice, visibleGas } from './gas.js';
import type { Pose } from './head.js';
import { Head } from './head.js';
import { buildLesions } from './lesions/build.js';
import type { LesionPlan } from './lesions/lesion.js';
import { NoiseTexture } from './noise-texture.js';
import { planDataset, SLICE_THICKNESS } from './plan.js';
import { Random } from './random.js';
import { clamp } from './shapes.js';
import type { Person } from './site.js';

export interface PhantomOptions {
  /** Same seed, same head. */
  readonly seed: number;
  /** Rows and columns; the field of view does not depend on it. */
  readonly size: number;
  /** Default: one to four lesions drawn by the seed. */
  readonly lesions?: readonly LesionPlan[];
  readonly person?: Person;
  /** Slices of 5 mm, counted from above the vertex downwards. Default 30 to 40, drawn by the seed. */
  readonly slices?: number;
  /** Also return what tissue each voxel's centre lies in (see TISSUES), without lesions. */
  readonly tissues?: boolean;
  /** One section a slice on a 3 mm lattice: ten times quicker, for counting and testing rather than for looking. */
  readonly draft?: boolean;
}

export interface PhantomDescription {
  readonly synthetic: true;
  readonly seed: number;
  readonly person: Person;
  readonly pose: Pose;
  readonly fieldOfView: number;
  readonly noiseHu: number;
  readonly lesions: readonly LesionPlan[];
}

export interface Phantom {
  readonly image: Volume<Int16Array>;
  readonly labels: Volume<Uint8Array>;
  readonly tissues?: Volume<Uint8Array>;
  readonly description: PhantomDescription;
}

/** A synthetic head CT in HU with its label map, ground truth by construction. Throws on sizes outside 32 to 1024. */
export function generatePhantom(options: PhantomOptions): Phantom {
  const { seed, size } = options;
  if (!Number.isInteger(size) || size < 32 || size > 1024) {
    throw new Error(`Expected a phantom size from 32 to 1024 pixels, found ${size}.`);
  }
  const drawn = planDataset({ cases: 1, seed })[0]!;
  const person = options.person ?? drawn.person;
  const plans = options.lesions ?? drawn.lesions;
  const slices = options.slices ?? drawn.slices;
  const draft = options.draft === true;
  // Thin sections that make up one slice.
  const sections = draft ? 1 : 3;
  const head = new Head(seed, person);
  const { lesions, bubbles } = buildLesions(head, plans);
  const scanner = Random.of(seed, 'scanner');
  const fieldOfView = scanner.range(222, 242);
  const noiseHu = scanner.range(3, 5) * (size / 512) ** 0.4;
  const hardening = new BeamHardening(Random.of(seed, 'beam'));
  const crown = vertex(head) + scanner.range(3, 10);
  const holder = scanner.chance(0.6) ? scanner.range(94, 99) : undefined;

  const pixel = fieldOfView / size;
  const fine = draft ? size : size * Math.max(1, Math.round(256 / size));
  const picture = {
    side: fine,
    pixel: fieldOfView / fine,
    left: -fieldOfView / 2 + fieldOfView / fine / 2,
    top: -fieldOfView / 2 + fieldOfView / fine / 2,
    softness: Math.max(0.5, 0.6 * (fieldOfView / fine)),
  };
  const step = draft ? 3 : clamp(0.8 * pixel, 1.05, 1.6);
  const side = Math.ceil(fieldOfView / step) + 2;
  const coarse = new CoarseSlice(side, step, -fieldOfView / 2, -fieldOfView / 2);
  const texture = new NoiseTexture(size, Random.of(seed, 'texture'));
  const grain = Random.of(seed, 'grain');
  const noise = new Float32Array(size * size);
  const hu = new Float32Array(fine * fine);
  const shares = new Map<number, Float32Array>();
  for (const lesion of lesions) shares.set(lesion.label, new Float32Array(fine * fine));

  const plane = size * size;
  const image = new Int16Array(slices * plane);
  const labels = new Uint8Array(slices * plane);
  const tissues = options.tissues === true ? new Uint8Array(slices * plane) : undefined;
  const first = crown - (slices - 0.5) * SLICE_THICKNESS;
  const gasLabel = labelByName('Pneumocranium').id;
  for (let k = 0; k < slices; k++) {
    const w = first + k * SLICE_THICKNESS;
    hu.fill(0);
    for (const share of shares.values()) share.fill(0);
    for (let s = 0; s < sections; s++) {
      const at = w + ((s + 0.5) / sections - 0.5) * SLICE_THICKNESS;
      coarse.fill(head, lesions, hardening, at);
      accumulate(coarse, picture, 1 / sections, hu, shares);
      if (tissues !== undefined && s === (sections - 1) / 2)
        sampleTissue(coarse, fieldOfView, size, tissues, k * plane);
    }
    const gas = gasInSlice(
      bubbles,
      { side: size, pixel, left: -fieldOfView / 2 + pixel / 2, top: -fieldOfView / 2 + pixel / 2 },
      w,
      SLICE_THICKNESS,
    );
    texture.draw(grain, noise);
    const fold = fine / size;
    for (let p = 0; p < plane; p++) {
      const row = Math.floor(p / size);
      const column = p - row * size;
      let value = 0;
      let total = 0;
      let best = 0;
      let label = 0;
      for (const [id, share] of shares) {
        let sum = 0;
        for (let j = 0; j < fold; j++) {
          for (let i = 0; i < fold; i++) sum += share[(row * fold + j) * fine + column * fold + i]!;
        }
        total += sum;
        if (sum > best) {
          best = sum;
          label = id;
        }
      }
      for (let j = 0; j < fold; j++) {
        for (let i = 0; i < fold; i++) value += hu[(row * fold + j) * fine + column * fold + i]!;
      }
      value /= fold * fold;
      if (total < 0.5 * fold * fold) label = 0;
      const x = (column - size / 2) * pixel;
      const y = (row - size / 2) * pixel;
      if (holder !== undefined && value < -900) value = Math.max(value, holderHu(x, y, holder));
      const share = gas.get(p);
      if (share !== undefined) {
        value += share * (-1000 - value);
        if (visibleGas(share)) label = gasLabel;
      }
      const r2 = (x * x + y * y) / 6400;
      const dose = value < -900 ? 1.3 : 0.85 + 0.5 * Math.exp(-r2 * 1.5);
      image[k * plane + p] = clamp(Math.round(value + noise[p]! * noiseHu * dose), -1024, 3071);
      labels[k * plane + p] = label;
    }
  }
  const affine: Affine = [
    [-pixel, 0, 0, fieldOfView / 2 - pixel / 2],
    [0, -pixel, 0, fieldOfView / 2 - pixel / 2],
    [0, 0, SLICE_THICKNESS, first],
    [0, 0, 0, 1],
  ];
  const geometry = { slices, rows: size, columns: size, affine };
  return {
    image: { data: image, ...geometry },
    labels: { data: labels, ...geometry },
    ...(tissues === undefined ? {} : { tissues: { data: tissues, ...geometry } }),
    description: { synthetic: true, seed, person, pose: head.pose, fieldOfView, noiseHu, lesions: plans },
  };
}

/** Height in the scanner of the highest point of the inner table, plus skull and scalp. */
function vertex(head: Head): number {
  let z = 40;
  while (head.skull.cavity(0, 4, z) < 0) z += 1;
  return Math.max(head.toScanner(0, 4, z)[2], head.toScanner(0, -20, z - 3)[2], head.toScanner(0, 25, z - 3)[2]) + 12;
}

function sampleTissue(coarse: CoarseSlice, fieldOfView: number, size: number, out: Uint8Array, offset: number): void {
  for (let row = 0; row < size; row++) {
    const j = Math.round((((row + 0.5) / size) * fieldOfView) / coarse.step);
    for (let column = 0; column < size; column++) {
      const i = Math.round((((column + 0.5) / size) * fieldOfView) / coarse.step);
      out[offset + row * size + column] = coarse.tissue[j * coarse.side + i]!;
    }
  }
}

/** The head holder: a thin shell behind the head, open to the front. */
function holderHu(x: number, y: number, radius: number): number {
  if (y < 10) return -1000;
  const d = Math.abs(Math.sqrt(x * x * 1.06 + (y - 4) ** 2 * 0.72) - radius);
  if (y > 108 || d > 2.4) return -1000;
  return d > 1.2 ? -1000 + 520 * (1 - (d - 1.2) / 1.2) : -480 - 330 * (1 - d / 1.2);
}
