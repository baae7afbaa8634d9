import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../atomic.js';
import { type RandomStream, randomStream } from '../random.js';
import { readJson } from '../schema-errors.js';

/** The parts of a split in the order of their fractions. */
export const PARTS = ['train', 'val', 'test'] as const;
export type Part = (typeof PARTS)[number];

const names = z.array(z.string().min(1));
/** What splits.json holds. */
export const splitsSchema = z.strictObject({ train: names.min(1), val: names, test: names, seed: z.int().nullish() });

/** splits.json: the cases of each part, and the seed if they were drawn. */
export interface Splits {
  readonly train: readonly string[];
  readonly val: readonly string[];
  readonly test: readonly string[];
  readonly seed?: number | null | undefined;
}

export interface SplitOptions {
  /** Case to patient. */
  readonly patients: Readonly<Record<string, string>>;
  /** Case to the names of the types in it. */
  readonly labelsPerCase: Readonly<Record<string, readonly string[]>>;
  /** Types that the data set marks; others do not count. */
  readonly annotated: readonly string[];
  readonly seed: number;
  /** Parts of the patients for train, val and test; by default the paper's 0.78, 0.075, 0.145. */
  readonly fractions?: readonly [number, number, number] | undefined;
}

type Sizes = readonly [number, number, number];

/** A type that must be in every part, and the patients (by index) who have it. */
interface Demand {
  readonly type: string;
  readonly patients: readonly number[];
}

/** Trials of one search: far above what real data sets need, and a bound on what contrived ones can take. */
const SEARCH_LIMIT = 2_000;

/**
 * Gives patients to parts until every demand is met in every part and no part exceeds its size, most constrained demand
 * first, with backtracking. Entry p of the result is the part of patient p, -1 if it is free to go anywhere.
 */
function meetDemands(
  count: number,
  demands: readonly Demand[],
  sizes: Sizes,
  random: RandomStream,
): number[] | undefined {
  const parts = new Array<number>(count).fill(-1);
  const free = [...sizes];
  let trials = 0;

  const search = (): boolean => {
    let best: { part: number; candidates: number[] } | undefined;
    for (const { patients } of demands) {
      for (let part = 0; part < sizes.length; part++) {
        if (patients.some((patient) => parts[patient] === part)) continue;
        const candidates = free[part]! > 0 ? patients.filter((patient) => parts[patient] === -1) : [];
        // Of equally constrained demands the part with least room comes first.
        if (
          !best ||
          candidates.length < best.candidates.length ||
          (candidates.length === best.candidates.length && free[part]! < free[best.part]!)
        ) {
          best = { part, candidates };
        }
      }
    }
    if (!best) return true;
    const { part } = best;
    // A patient with many types meets many demands at once: those first, ties at random.
    const useful = (patient: number): number =>
      demands.filter(({ patients }) => patients.includes(patient) && !patients.some((other) => parts[other] === part))
        .length;
    const order = random
      .shuffle(best.candidates)
      .map((patient) => ({ patient, value: useful(patient) }))
      .sort((a, b) => b.value - a.value);
    for (const { patient } of order) {
      if (++trials > SEARCH_LIMIT) return false;
      parts[patient] = part;
      free[part]!--;
      if (search()) return true;
      parts[patient] = -1;
      free[part]!++;
    }
    return false;
  };
  return search() ? parts : undefined;
}

/** The sizes wanted, then larger and larger val and test parts (train stays the largest): coverage beats proportion. */
function* sizesToTry(count: number, fractions: Sizes): Generator<Sizes> {
  const total = fractions[0] + fractions[1] + fractions[2];
  const val = Math.max(1, Math.round((count * fractions[1]) / total));
  const test = Math.max(1, Math.round((count * fractions[2]) / total));
  for (let extra = 0; extra <= count; extra++) {
    for (let toVal = Math.ceil(extra / 2), step = 0; step <= extra; step++, toVal = (toVal + 1) % (extra + 1)) {
      const sizes: Sizes = [count - val - test - extra, val + toVal, test + extra - toVal];
      if (sizes[0] >= Math.max(sizes[1], sizes[2])) yield sizes;
    }
  }
}

/**
 * Splits cases by patient into train, val and test so that every annotated type with at least three patients is in every
 * part; val and test grow beyond their fractions where that takes more patients. The same seed gives the same split.
 *
 * @throws Error that says why, if no such split was found.
 */
export function splitByPatient(cases: readonly string[], options: SplitOptions): Splits {
  const { patients, labelsPerCase, annotated, seed, fractions = [0.78, 0.075, 0.145] } = options;
  if (!fractions.every((fraction) => fraction > 0 && Number.isFinite(fraction))) {
    throw new Error(`Expected three positive fractions for train, val and test, found ${fractions.join(', ')}.`);
  }
  const patientOf = (name: string): string => {
    const patient = Object.hasOwn(patients, name) ? patients[name] : undefined;
    if (patient === undefined) throw new Error(`Expected a patient for every case, found none for ${name}.`);
    return patient;
  };
  const sorted = [...cases].sort();
  const people = [...new Set(sorted.map(patientOf))].sort();
  if (people.length < 3) {
    throw new Error(
      `A split by patient into train, val and test needs at least 3 patients, found ${people.length}; add data or write splits.json yourself.`,
    );
  }
  const demands = annotated
    .map((type): Demand => {
      const having = sorted.filter((name) => (labelsPerCase[name] ?? []).includes(type)).map(patientOf);
      return { type, patients: [...new Set(having)].map((patient) => people.indexOf(patient)) };
    })
    .filter((demand) => demand.patients.length >= 3);

  const random = randomStream(`split ${seed}`);
  for (const sizes of sizesToTry(people.length, fractions)) {
    const parts = meetDemands(people.length, demands, sizes, random);
    if (!parts) continue;
    const rest = random.shuffle(parts.flatMap((part, patient) => (part === -1 ? [patient] : [])));
    for (let part = PARTS.length - 1; part >= 0; part--) {
      const room = part === 0 ? rest.length : sizes[part]! - parts.filter((other) => other === part).length;
      for (const patient of rest.splice(0, room)) parts[patient] = part;
    }
    const casesOf = (part: number): string[] =>
      sorted.filter((name) => parts[people.indexOf(patientOf(name))] === part);
    return { train: casesOf(0), val: casesOf(1), test: casesOf(2), seed };
  }
  const list = demands.map(({ type, patients: having }) => `${type} in ${having.length}`).join(', ');
  throw new Error(
    `No split by patient has every type with at least 3 patients in each of train, val and test ` +
      `(${people.length} patients; ${list}): too few patients carry too many of the types; add patients or write splits.json yourself.`,
  );
}

/**
 * Checks a split against the data set: known cases, none twice, no patient in two parts. Cases in no part are allowed.
 *
 * @throws Error of one sentence that begins with `source`.
 */
export function checkSplits(
  splits: Splits,
  cases: readonly { readonly name: string; readonly patient: string }[],
  source: string,
): void {
  const patientOf = new Map(cases.map(({ name, patient }) => [name, patient]));
  const partOfPatient = new Map<string, Part>();
  const seen = new Set<string>();
  for (const part of PARTS) {
    for (const name of splits[part]) {
      const patient = patientOf.get(name);
      if (patient === undefined)
        throw new Error(`${source} lists the case "${name}", which the data set does not have.`);
      if (seen.has(name)) throw new Error(`${source} lists the case "${name}" twice.`);
      seen.add(name);
      const other = partOfPatient.get(patient);
      if (other && other !== part) {
        throw new Error(
          `${source} puts cases of patient "${patient}" into both ${other} and ${part}; keep a patient in one part.`,
        );
      }
      partOfPatient.set(patient, part);
    }
  }
}

interface CasesOfFolder {
  readonly folder: string;
  readonly cases: readonly { readonly name: string; readonly patient: string }[];
}

/** Reads a split and checks it against the cases of a data set. @throws Error of one sentence if it does not fit. */
export async function readSplitsFile<S extends Splits>(
  path: string,
  schema: z.ZodType<S>,
  cases: CasesOfFolder['cases'],
): Promise<S> {
  const splits = await readJson(path, schema);
  checkSplits(splits, cases, path);
  return splits;
}

/** Reads and checks `splits.json` of a data set folder; undefined if there is none. @throws Error if it does not fit. */
export async function readSplits({ folder, cases }: CasesOfFolder): Promise<Splits | undefined> {
  const path = join(folder, 'splits.json');
  return existsSync(path) ? readSplitsFile(path, splitsSchema, cases) : undefined;
}

/** Writes `splits.json` into a data set folder, atomically. */
export async function writeSplits(folder: string, splits: Splits): Promise<void> {
  await writeJsonAtomic(join(folder, 'splits.json'), splits);
}
