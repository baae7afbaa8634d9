import { type RandomStream, randomStream } from '../random.js';

/** A slice of a case, by index from inferior to superior. */
export interface SliceRef {
  readonly case: string;
  readonly slice: number;
}

/** What the sampler must know of a case: for every slice the pixel count of every label (index = label id). */
export interface CaseCounts {
  readonly name: string;
  readonly counts: readonly (readonly number[])[];
}

export interface SamplerOptions {
  readonly seed: number;
  readonly epoch: number;
  /** Ids of the types to balance, usually the annotated ones. */
  readonly types: readonly number[];
  /** Largest share of slices without any of `types` in an epoch, 0 to 1. */
  readonly emptyShare: number;
  /** Slices of a type are repeated until the type is in at least this share of the lesion slices, 0 to 1. */
  readonly rareShare: number;
  /** ... but no slice is used more often than this in an epoch. */
  readonly maxRepeat: number;
  /** Slices in the epoch; by default as many as the rules above give. */
  readonly length?: number | undefined;
  /** The epoch is cut (or, if shorter, filled) to a multiple of this: the batch size. */
  readonly multipleOf?: number | undefined;
}

interface Candidate extends SliceRef {
  readonly types: readonly number[];
}

function listCandidates(cases: readonly CaseCounts[], types: readonly number[]): Candidate[] {
  return cases.flatMap(({ name, counts }) =>
    counts.map((pixels, slice) => ({ case: name, slice, types: types.filter((type) => (pixels[type] ?? 0) > 0) })),
  );
}

function checkShare(name: string, value: number, limit: number): void {
  if (!(value >= 0 && value <= limit)) {
    throw new Error(`Expected sampler option ${name} between 0 and ${limit}, found ${value}.`);
  }
}

/**
 * The slices of one epoch in training order: every lesion slice once, slices of rare types repeated, slices without a
 * lesion limited to a share and drawn anew each epoch. Depends on (`seed`, `epoch`) and the counts alone, so a resumed
 * training sees the same order. Every type that occurs in `cases` occurs in the result wherever its length allows one
 * slice a type.
 *
 * @throws Error if there is no slice, or a share is out of range.
 */
export function sampleEpoch(cases: readonly CaseCounts[], options: SamplerOptions): SliceRef[] {
  checkShare('emptyShare', options.emptyShare, 1);
  checkShare('rareShare', options.rareShare, 1);
  const candidates = listCandidates(cases, options.types);
  if (candidates.length === 0) throw new Error('Expected at least one training slice, found none; check splits.json.');
  const random = randomStream(`sampler ${options.seed} ${options.epoch}`);
  const lesions = random.shuffle(candidates.filter((candidate) => candidate.types.length > 0));
  const empties = random.shuffle(candidates.filter((candidate) => candidate.types.length === 0));

  const drawn = [...lesions];
  const uses = new Map(lesions.map((candidate) => [candidate, 1]));
  for (const type of options.types) {
    const own = lesions.filter((candidate) => candidate.types.includes(type));
    let have = drawn.filter((candidate) => candidate.types.includes(type)).length;
    for (let round = 1; round < options.maxRepeat && own.length > 0; round++) {
      for (const candidate of own) {
        if (have >= options.rareShare * lesions.length) break;
        const used = uses.get(candidate) ?? 0;
        if (used >= options.maxRepeat) continue;
        uses.set(candidate, used + 1);
        drawn.push(candidate);
        have++;
      }
    }
  }
  const emptyLimit =
    lesions.length === 0 || options.emptyShare === 1
      ? empties.length
      : Math.floor((options.emptyShare / (1 - options.emptyShare)) * drawn.length);
  const pool = [...drawn, ...empties.slice(0, emptyLimit)];

  return cut(pool, options, random).map(({ case: name, slice }) => ({ case: name, slice }));
}

/** Shuffles and cuts or fills the pool to its length, one slice of every type kept safe from the cut. */
function cut(pool: readonly Candidate[], options: SamplerOptions, random: RandomStream): Candidate[] {
  const multiple = options.multipleOf ?? 1;
  const wanted = options.length ?? pool.length;
  const length = Math.max(multiple, Math.floor(wanted / multiple) * multiple);
  const rest = random.shuffle([...pool]);
  const kept: Candidate[] = [];
  for (const type of options.types) {
    if (kept.some((candidate) => candidate.types.includes(type))) continue;
    const index = rest.findIndex((candidate) => candidate.types.includes(type));
    if (index >= 0) kept.push(...rest.splice(index, 1));
  }
  let epoch = [...kept, ...rest];
  while (epoch.length < length) epoch = [...epoch, ...random.shuffle([...pool])];
  return random.shuffle(epoch.slice(0, length));
}
