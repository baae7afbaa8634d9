import type { LesionPlan, LesionType } from './lesions/lesion.js';
import { LESION_TYPES } from './lesions/lesion.js';
import { Random } from './random.js';
import { clamp } from './shapes.js';
import type { Person } from './site.js';

/** Share of slices without any lesion that the paper reports for its data, in per cent. */
export const EMPTY_PERCENT = 46.55;

export const SLICE_THICKNESS = 5;
const FEWEST_SLICES = 30;
const MOST_SLICES = 50;

/** One patient of a phantom data set: who, how many slices, which lesions. Everything else follows from the seed. */
export interface CasePlan {
  readonly name: string;
  readonly patient: string;
  readonly seed: number;
  readonly slices: number;
  readonly person: Person;
  readonly lesions: readonly LesionPlan[];
}

/** Which types go together, and how old the patients are. */
const PICTURES: readonly { types: readonly LesionType[]; age: readonly [number, number] }[] = [
  { types: ['EDH', 'SDH', 'SAH', 'Pneumocranium', 'ICH'], age: [18, 70] },
  { types: ['ICH', 'IVH', 'SAH'], age: [42, 88] },
  { types: ['SAH', 'IVH', 'ICH'], age: [30, 75] },
  { types: ['CSDH', 'SDH', 'Pneumocranium'], age: [58, 92] },
  { types: ['SDH', 'SAH', 'ICH', 'IVH', 'Pneumocranium'], age: [22, 85] },
];

/** A random lesion of a type. */
export function planLesion(type: LesionType, random: Random, taken: readonly LesionPlan[] = []): LesionPlan {
  const faint = random.chance(0.14);
  const seed = Math.floor(random.next() * 2 ** 32);
  // Collections of different types lie on different sides, mostly.
  const other = taken.find((p) => ['EDH', 'SDH', 'CSDH'].includes(p.type) && p.side !== 0);
  const free: -1 | 1 = other === undefined ? random.sign() : other.side < 0 ? 1 : -1;
  const pick = (items: readonly [string, ...string[]]): string => random.pick(items);
  switch (type) {
    case 'EDH': {
      const place = pick(['temporal', 'temporal', 'parietal', 'parietal', 'frontal', 'occipital']);
      const z = { temporal: random.range(2, 16), parietal: random.range(28, 42), frontal: random.range(14, 32) }[place];
      return { type, side: free, place, z: z ?? random.range(2, 12), extent: random.range(38, 80), faint, seed };
    }
    case 'SDH': {
      const place = pick(['convexity', 'convexity', 'convexity', 'convexity', 'convexity', 'falx', 'tentorium']);
      if (place === 'falx')
        return { type, side: free, place, z: random.range(36, 46), extent: random.range(34, 60), faint, seed };
      if (place === 'tentorium')
        return { type, side: free, place, z: random.range(2, 6), extent: random.range(24, 36), faint, seed };
      return { type, side: free, place, z: random.range(20, 30), extent: random.range(76, 112), faint, seed };
    }
    case 'CSDH': {
      const place = pick(['plain', 'plain', 'membranes', 'layered', 'mixed']);
      return { type, side: free, place, z: random.range(26, 34), extent: random.range(78, 106), faint, seed };
    }
    case 'ICH': {
      const place = pick([
        'putamen',
        'putamen',
        'thalamus',
        'frontal',
        'parietal',
        'temporal',
        'occipital',
        'cerebellum',
        'pons',
      ]);
      const centre: Record<string, readonly [number, number]> = {
        putamen: [4, 8],
        thalamus: [6, 10],
        pons: [-28, -22],
        cerebellum: [-32, -22],
        temporal: [-12, -4],
        frontal: [8, 34],
        parietal: [24, 44],
        occipital: [8, 18],
      };
      const [low, high] = centre[place]!;
      const largest = place === 'pons' ? 22 : place === 'thalamus' || place === 'cerebellum' ? 34 : 58;
      const tiny = random.chance(0.15);
      const extent = tiny ? random.range(10, 16) : random.range(20, largest);
      return { type, side: random.sign(), place, z: random.range(low, high), extent, faint, seed };
    }
    case 'IVH': {
      const place = pick(['layered', 'layered', 'cast', 'cast', 'cast', 'fourth']);
      if (place === 'fourth') return { type, side: 0, place, z: -26, extent: 26, faint, seed };
      const side = place === 'cast' && random.chance(0.6) ? random.sign() : 0;
      return { type, side, place, z: random.range(10, 16), extent: random.range(30, 46), faint, seed };
    }
    case 'SAH': {
      const place = pick(['cisterns', 'cisterns', 'sylvian', 'sulci', 'sulci', 'diffuse']);
      const side = random.sign();
      if (place === 'cisterns')
        return { type, side, place, z: random.range(-6, 2), extent: random.range(30, 48), faint, seed };
      if (place === 'sylvian')
        return { type, side, place, z: random.range(2, 8), extent: random.range(28, 44), faint, seed };
      if (place === 'sulci')
        return { type, side, place, z: random.range(28, 50), extent: random.range(32, 56), faint, seed };
      return { type, side: 0, place, z: random.range(8, 18), extent: random.range(56, 84), faint, seed };
    }
    case 'Pneumocranium': {
      const place = pick(['frontal', 'frontal', 'frontal', 'vertex', 'mastoid']);
      const z =
        place === 'frontal' ? random.range(14, 38) : place === 'vertex' ? random.range(40, 58) : random.range(-8, -2);
      return { type, side: random.sign(), place, z, extent: 5 * random.int(2, 7), faint: false, seed };
    }
  }
}

/** Slices in which lesions will show, as the plan foresees it (the head's tilt and edges move it by a slice or so). */
export function foreseenSlices(lesions: readonly LesionPlan[]): number {
  const hit = new Set<number>();
  for (const l of lesions) {
    const shrink = SHOWN[l.type];
    const half = Math.max(SLICE_THICKNESS / 2, (l.extent / 2) * shrink) + TILT;
    const low = Math.max(-58, l.z - half);
    const high = Math.min(74, l.z + half);
    for (let k = Math.round(low / SLICE_THICKNESS); k < Math.round(high / SLICE_THICKNESS); k++) hit.add(k);
  }
  return hit.size;
}

/** The head lies tilted, which spreads a lesion over more slices: mm at either end. */
const TILT = 3;

/** Measured at 64 to 256 pixels: slices with labelled voxels per foreseen slice. */
const SEEN = 0.96;

/** Measured: share of a lesion's planned extent whose slices hold labelled voxels. */
const SHOWN: Record<LesionType, number> = { ICH: 1, SDH: 0.98, SAH: 1, EDH: 1, CSDH: 0.98, Pneumocranium: 1, IVH: 0.9 };

/**
 * Plans a data set: every type in about a third of the patients, a few patients healthy, 30 to 50 slices each, and
 * about 46.55 % of all slices without a lesion.
 */
export function planDataset(options: { cases: number; seed: number }): CasePlan[] {
  const { cases, seed } = options;
  if (!Number.isInteger(cases) || cases < 1 || cases > 100_000) {
    throw new Error(`Expected a whole number of cases from 1 to 100000, found ${cases}.`);
  }
  const random = Random.of(seed, 'plan');
  const healthy = cases < 8 ? 0 : Math.max(1, Math.round(cases * 0.04));
  const count = new Map<LesionType, number>(LESION_TYPES.map((type) => [type, 0]));
  const drafts: { person: Person; lesions: LesionPlan[] }[] = [];
  for (let n = 0; n < cases; n++) {
    const first = rarest(LESION_TYPES, count, random);
    const picture = random.pick(PICTURES.filter((p) => p.types.includes(first)) as [(typeof PICTURES)[number]]);
    const age = Math.round(random.range(picture.age[0], picture.age[1]));
    const person = { age, atrophy: clamp((age - 22) / 75 + 0.14 * random.normal(), 0, 1) };
    const lesions: LesionPlan[] = [];
    if (n < cases - healthy) {
      const wanted = random.chance(0.05) ? 1 : random.chance(0.18) ? 2 : random.chance(0.6) ? 3 : 4;
      const types: LesionType[] = [];
      // Patients of a trauma centre: most bleed in many slices, so further types join until they do.
      const enough = random.range(11, 22);
      while (types.length < Math.min(wanted, picture.types.length) || foreseenSlices(lesions) < enough) {
        const left = picture.types.filter((t) => !types.includes(t));
        if (left.length === 0) break;
        const type = types.length === 0 ? first : rarest(left, count, random);
        types.push(type);
        count.set(type, count.get(type)! + 1);
        const lesion = planLesion(type, random, lesions);
        lesions.push(lesion);
        // Chronic collections are often bilateral; contusions and bleeds often come in numbers.
        if (type === 'CSDH' && random.chance(0.3)) {
          lesions.push({ ...planLesion(type, random), side: lesion.side < 0 ? 1 : -1 });
        }
        if (type === 'ICH' && random.chance(0.3)) lesions.push(planLesion(type, random));
      }
    }
    drafts.push({ person, lesions });
  }
  const slices = shareSlices(random.shuffle(drafts), random);
  return slices.map(({ draft, slices: total }, n) => {
    const number = String(n + 1).padStart(Math.max(3, String(cases).length), '0');
    return {
      name: `PHANTOM_${number}`,
      patient: `P${number}`,
      seed: Math.floor(Random.of(seed, `case ${n}`).next() * 2 ** 32),
      slices: total,
      ...draft,
    };
  });
}

function rarest(types: readonly LesionType[], count: Map<LesionType, number>, random: Random): LesionType {
  const shuffled = random.shuffle(types);
  return shuffled.reduce((best, type) => (count.get(type)! < count.get(best)! ? type : best), shuffled[0]!);
}

/** Chooses slice counts so that the share of empty slices over the data set comes out as the paper's. */
function shareSlices<T extends { lesions: LesionPlan[] }>(drafts: T[], random: Random): { draft: T; slices: number }[] {
  const result = drafts.map((draft) => ({ draft, slices: random.int(FEWEST_SLICES, 40) }));
  const shown = drafts.reduce((sum, draft) => sum + foreseenSlices(draft.lesions), 0);
  const wanted = clamp(
    Math.round((SEEN * shown) / (1 - EMPTY_PERCENT / 100)),
    FEWEST_SLICES * drafts.length,
    MOST_SLICES * drafts.length,
  );
  let total = result.reduce((sum, r) => sum + r.slices, 0);
  while (total !== wanted) {
    const step = total < wanted ? 1 : -1;
    const r = result[random.int(0, result.length - 1)]!;
    const next = r.slices + step;
    if (next < FEWEST_SLICES || next > MOST_SLICES) continue;
    r.slices = next;
    total += step;
  }
  return result;
}
