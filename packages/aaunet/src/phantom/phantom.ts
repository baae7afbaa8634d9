import type { Affine, Volume } from '@aaunet/imaging';

import { BeamHardening } from './beam-hardening.js';
import { CoarseSlice } from './coarse-slice.js';
import { Exposure } from './exposure.js';
import { gasInSlice } from './gas.js';
import type { Pose } from './head.js';
import { Head } from './head.js';
import { buildLesions } from './lesions/build.js';
import type { LesionPlan } from './lesions/lesion.js';
import { planDataset, SLICE_THICKNESS } from './plan.js';
import { Random } from './random.js';
import { Scanner } from './scanner.js';
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
  const { seed, size, draft = false } = options;
  if (!Number.isInteger(size) || size < 32 || size > 1024) {
    throw new Error(`Expected a phantom size from 32 to 1024 pixels, found ${size}.`);
  }
  const drawn = planDataset({ cases: 1, seed })[0]!;
  const { person = drawn.person, lesions: plans = drawn.lesions, slices = drawn.slices } = options;
  const head = new Head(seed, person);
  const { lesions, bubbles } = buildLesions(head, plans);
  const scanner = new Scanner(seed, size);
  const { fieldOfView, noiseHu, pixel } = scanner;
  const hardening = new BeamHardening(Random.of(seed, 'beam'));
  const exposure = new Exposure(size, fieldOfView, new Set(lesions.map(({ label }) => label)), draft);
  const step = draft ? 3 : clamp(0.8 * pixel, 1.05, 1.6);
  const section = new CoarseSlice(Math.ceil(fieldOfView / step) + 2, step, -fieldOfView / 2, -fieldOfView / 2);
  // Thin sections that make up one slice.
  const sections = draft ? 1 : 3;

  const plane = size * size;
  const image = new Int16Array(slices * plane);
  const labels = new Uint8Array(slices * plane);
  const tissues = options.tissues === true ? new Uint8Array(slices * plane) : undefined;
  const corner = -fieldOfView / 2 + pixel / 2;
  const first = vertex(head) + scanner.margin - (slices - 0.5) * SLICE_THICKNESS;
  for (let k = 0; k < slices; k++) {
    const w = first + k * SLICE_THICKNESS;
    const [from, to] = [k * plane, (k + 1) * plane];
    exposure.clear();
    for (let s = 0; s < sections; s++) {
      section.fill(head, lesions, hardening, w + ((s + 0.5) / sections - 0.5) * SLICE_THICKNESS);
      exposure.add(section, 1 / sections);
      if (tissues !== undefined && s === (sections - 1) / 2)
        sampleTissue(section, fieldOfView, size, tissues.subarray(from, to));
    }
    const gas = gasInSlice(bubbles, { side: size, pixel, left: corner, top: corner }, w, SLICE_THICKNESS);
    scanner.develop(exposure, gas, image.subarray(from, to), labels.subarray(from, to));
  }
  const affine: Affine = [
    [-pixel, 0, 0, -corner],
    [0, -pixel, 0, -corner],
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

function sampleTissue(coarse: CoarseSlice, fieldOfView: number, size: number, out: Uint8Array): void {
  for (let row = 0; row < size; row++) {
    const j = Math.round((((row + 0.5) / size) * fieldOfView) / coarse.step);
    for (let column = 0; column < size; column++) {
      const i = Math.round((((column + 0.5) / size) * fieldOfView) / coarse.step);
      out[row * size + column] = coarse.tissue[j * coarse.side + i]!;
    }
  }
}
