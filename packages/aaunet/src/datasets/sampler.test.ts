import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CaseCounts, type SamplerOptions, sampleEpoch } from './sampler.js';

const types = [1, 2, 3, 4, 5, 6, 7];
const base: SamplerOptions = { seed: 1, epoch: 0, types, emptyShare: 0.25, rareShare: 0.1, maxRepeat: 4 };

const randomCases = fc
  .array(
    fc.array(fc.tuple(fc.boolean(), fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { maxLength: 3 })), {
      minLength: 1,
      maxLength: 20,
    }),
    { minLength: 1, maxLength: 8 },
  )
  .map((cases): CaseCounts[] =>
    cases.map((slices, index) => ({
      name: `case-${index}`,
      counts: slices.map(([empty, found]) => [100, ...types.map((type) => (!empty && found.includes(type) ? 5 : 0))]),
    })),
  );

function typesOf(cases: CaseCounts[], name: string, slice: number): number[] {
  const counts = cases.find((entry) => entry.name === name)!.counts[slice]!;
  return types.filter((type) => counts[type]! > 0);
}

describe('sampleEpoch', () => {
  it('sees every type of the split in every epoch, also when cut to few batches', () => {
    fc.assert(
      fc.property(randomCases, fc.nat(5), fc.integer({ min: 7, max: 40 }), (cases, epoch, length) => {
        const present = new Set(cases.flatMap(({ name, counts }) => counts.flatMap((_, k) => typesOf(cases, name, k))));
        for (const options of [base, { ...base, length }]) {
          const slices = sampleEpoch(cases, { ...options, epoch });
          const seen = new Set(slices.flatMap((ref) => typesOf(cases, ref.case, ref.slice)));
          expect(seen).toEqual(present);
        }
      }),
    );
  });

  it('limits empty slices, repeats no slice beyond the limit and uses every lesion slice', () => {
    fc.assert(
      fc.property(randomCases, (cases) => {
        const slices = sampleEpoch(cases, base);
        const uses = new Map<string, number>();
        for (const ref of slices) uses.set(`${ref.case}/${ref.slice}`, (uses.get(`${ref.case}/${ref.slice}`) ?? 0) + 1);
        const empty = slices.filter((ref) => typesOf(cases, ref.case, ref.slice).length === 0);
        const lesions = cases.flatMap(({ name, counts }) =>
          counts.flatMap((_, k) => (typesOf(cases, name, k).length > 0 ? [`${name}/${k}`] : [])),
        );
        expect(Math.max(...uses.values())).toBeLessThanOrEqual(base.maxRepeat);
        for (const lesion of lesions) expect(uses.has(lesion)).toBe(true);
        if (lesions.length > 0) expect(empty.length / slices.length).toBeLessThanOrEqual(base.emptyShare);
        for (const ref of empty) expect(uses.get(`${ref.case}/${ref.slice}`)).toBe(1);
      }),
    );
  });

  it('repeats exactly from seed and epoch alone, and differs between epochs', () => {
    const cases: CaseCounts[] = [
      {
        name: 'a',
        counts: Array.from({ length: 40 }, (_, k) => [9, ...types.map((type) => (k % 9 === type ? 1 : 0))]),
      },
    ];
    expect(sampleEpoch(cases, { ...base, epoch: 3 })).toEqual(sampleEpoch(cases, { ...base, epoch: 3 }));
    expect(sampleEpoch(cases, { ...base, epoch: 3 })).not.toEqual(sampleEpoch(cases, { ...base, epoch: 4 }));
    expect(sampleEpoch(cases, { ...base, seed: 2 })).not.toEqual(sampleEpoch(cases, base));
  });

  it('repeats a rare type up to its share', () => {
    const counts = Array.from({ length: 40 }, (_, k) => [9, k === 0 ? 0 : 5, k === 0 ? 1 : 0]);
    const slices = sampleEpoch([{ name: 'a', counts }], { ...base, types: [1, 2] });
    expect(slices.filter((ref) => ref.slice === 0)).toHaveLength(4);
  });

  it('gives whole batches, filled where the data are fewer than a batch', () => {
    const counts = Array.from({ length: 5 }, () => [9, 1]);
    expect(sampleEpoch([{ name: 'a', counts }], { ...base, multipleOf: 8 })).toHaveLength(8);
    expect(sampleEpoch([{ name: 'a', counts }], { ...base, multipleOf: 2 })).toHaveLength(4);
  });

  it('takes more slices than a call has room for arguments', () => {
    const counts = Array.from({ length: 200_000 }, () => [9, 0]);
    const cases = [{ name: 'a', counts }];
    expect(sampleEpoch(cases, base)).toHaveLength(200_000);
    expect(sampleEpoch(cases, { ...base, length: 500_000 })).toHaveLength(500_000);
  });

  it('says what is wrong with an empty split', () => {
    expect(() => sampleEpoch([], base)).toThrow('at least one training slice');
  });
});
