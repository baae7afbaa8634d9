import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PARTS, type Splits, checkSplits, readSplits, splitByPatient, writeSplits } from './splits.js';

const annotated = ['ICH', 'SDH', 'SAH', 'EDH', 'CSDH', 'Pneumocranium', 'IVH'];

/** Patients with one to three cases, of which every case has some types. */
const randomData = fc
  .array(fc.array(fc.subarray(annotated, { minLength: 0, maxLength: 5 }), { minLength: 1, maxLength: 3 }), {
    minLength: 3,
    maxLength: 60,
  })
  .map((people) => {
    const patients: Record<string, string> = {};
    const labelsPerCase: Record<string, string[]> = {};
    people.forEach((cases, person) => {
      cases.forEach((types, index) => {
        patients[`c${person}-${index}`] = `p${person}`;
        labelsPerCase[`c${person}-${index}`] = types;
      });
    });
    return { cases: Object.keys(patients), patients, labelsPerCase };
  });

type Data = typeof randomData extends fc.Arbitrary<infer T> ? T : never;

function patientsWith(data: Data, cases: readonly string[], type: string): number {
  return new Set(cases.filter((name) => data.labelsPerCase[name]!.includes(type)).map((name) => data.patients[name]))
    .size;
}

function trySplit(data: Data, seed = 0): Splits | undefined {
  try {
    return splitByPatient(data.cases, { ...data, annotated, seed });
  } catch (error) {
    expect((error as Error).message).toMatch(/^No split by patient .*write splits\.json yourself\.$/);
    return undefined;
  }
}

describe('splitByPatient', () => {
  it('leaks no patient, loses no case and covers every type with three patients', () => {
    fc.assert(
      fc.property(randomData, fc.nat(100), (data, seed) => {
        const splits = trySplit(data, seed);
        fc.pre(splits !== undefined);
        const all = PARTS.flatMap((part) => splits[part]);
        expect([...all].sort()).toEqual([...data.cases].sort());
        const partOf = new Map<string, string>();
        for (const part of PARTS) {
          expect(splits[part].length).toBeGreaterThan(0);
          for (const name of splits[part]) {
            const patient = data.patients[name]!;
            expect(partOf.get(patient) ?? part).toBe(part);
            partOf.set(patient, part);
          }
          for (const type of annotated) {
            if (patientsWith(data, data.cases, type) >= 3) {
              expect(patientsWith(data, splits[part], type)).toBeGreaterThan(0);
            }
          }
        }
      }),
    );
  });

  it('finds a split wherever one is known to exist', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2), { minLength: 3, maxLength: 12 }), fc.nat(), (extra, seed) => {
        // Three patients, one a part, share all types between them; the others have none or one.
        const types = [annotated, annotated, annotated, ...extra.map((type) => [annotated[type]!])];
        const patients = Object.fromEntries(types.map((_, index) => [`c${index}`, `p${index}`]));
        const labelsPerCase = Object.fromEntries(types.map((list, index) => [`c${index}`, list]));
        expect(trySplit({ cases: Object.keys(patients), patients, labelsPerCase }, seed)).toBeDefined();
      }),
    );
  });

  it('repeats from the seed whatever the order of cases, and differs between seeds', () => {
    const patients = Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`c${index}`, `p${index}`]));
    const labelsPerCase = Object.fromEntries(
      Object.keys(patients).map((name, index) => [name, annotated.filter((_, type) => (index + type) % 4 === 0)]),
    );
    const cases = Object.keys(patients);
    const split = (seed: number, order = cases) => splitByPatient(order, { patients, labelsPerCase, annotated, seed });
    expect(split(1)).toEqual(split(1, [...cases].reverse()));
    expect(split(1)).not.toEqual({ ...split(2), seed: 1 });
    // The paper's proportions.
    expect(PARTS.map((part) => split(1)[part].length)).toEqual([40, 4, 7]);
  });

  it('explains why it refuses', () => {
    const one = { patients: { a: 'p', b: 'p' }, labelsPerCase: {}, annotated, seed: 0 };
    expect(() => splitByPatient(['a', 'b'], one)).toThrow('at least 3 patients, found 1');
    // Each type has three patients, but any two types share them so that no three parts can all have both.
    const patients = Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, name]));
    const labelsPerCase = {
      a: ['ICH', 'SDH', 'SAH'],
      b: ['ICH', 'SDH', 'EDH'],
      c: ['ICH', 'SAH', 'EDH'],
      d: ['SDH', 'SAH', 'EDH'],
    };
    expect(() => splitByPatient(Object.keys(patients), { patients, labelsPerCase, annotated, seed: 0 })).toThrow(
      '4 patients; ICH in 3, SDH in 3',
    );
  });
});

describe('splits.json', () => {
  let folder: string;
  const cases = ['a', 'b', 'c', 'd'].map((name) => ({ name, patient: name === 'd' ? 'a' : name }));
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'aaunet-splits-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('survives being written and read; without a file there is no split', async () => {
    const splits = { train: ['a', 'd'], val: ['b'], test: ['c'], seed: 3 };
    expect(await readSplits({ folder, cases })).toBeUndefined();
    await writeSplits(folder, splits);
    expect(await readSplits({ folder, cases })).toEqual(splits);
  });

  it('refuses leakage, unknown and repeated cases', () => {
    const check = (splits: Splits) => () => {
      checkSplits(splits, cases, 'splits.json');
    };
    expect(check({ train: ['a'], val: ['b'], test: ['d'] })).toThrow('patient "a" into both train and test');
    expect(check({ train: ['x'], val: [], test: [] })).toThrow('"x"');
    expect(check({ train: ['a', 'a'], val: [], test: [] })).toThrow('twice');
    expect(check({ train: ['a'], val: [], test: [] })).not.toThrow();
  });

  it('refuses a broken file instead of ignoring it', async () => {
    await writeFile(join(folder, 'splits.json'), '{"train": "a"}');
    await expect(readSplits({ folder, cases })).rejects.toThrow('splits.json is not valid');
  });
});
