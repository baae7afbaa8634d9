import { describe, expect, it } from 'vitest';

import { chooseDicomSeries, whyNotChosen } from './choose.js';
import type { DicomAttribute } from './encode.js';
import { ctFile } from './fixture.js';
import { groupDicomSeries, type DicomSeries } from './series.js';
import { readDicomSlices } from './slice.js';
import { TAG } from './tags.js';

interface Made {
  readonly uid: string;
  readonly slices?: number;
  readonly description?: string;
  readonly change?: readonly DicomAttribute[];
}

const lo = (tag: number, value: string): DicomAttribute => ({ tag, vr: 'LO', value });

function made(...all: readonly Made[]): DicomSeries[] {
  return groupDicomSeries(
    all.flatMap(({ uid, slices = 6, description = '', change = [] }) =>
      Array.from({ length: slices }, (_, k) => {
        const own: DicomAttribute[] = [
          { tag: TAG.seriesInstanceUid, vr: 'UI', value: uid },
          lo(TAG.seriesDescription, description),
          ...change,
        ];
        return readDicomSlices(ctFile(5 * k, { change: own }), `${uid}/${k}`);
      }).flat(),
    ),
  );
}

const chosen = (...all: readonly Made[]): string => chooseDicomSeries(made(...all), []).series.uid;

describe('chooseDicomSeries', () => {
  const plain: Made = { uid: '1.1', description: 'HEAD 5mm' };

  it.each<[string, Made]>([
    ['a contrast agent', { uid: '1.2', slices: 20, change: [lo(TAG.contrastAgent, 'OMNIPAQUE')] }],
    ['contrast in the description', { uid: '1.2', slices: 20, description: 'POST CONTRAST' }],
    ['angiography', { uid: '1.2', slices: 20, description: 'CTA HEAD' }],
    ['a reformat', { uid: '1.2', slices: 20, description: 'HEAD MPR' }],
    [
      'a projection',
      { uid: '1.2', slices: 20, change: [{ tag: TAG.imageType, vr: 'CS', value: ['DERIVED', 'SECONDARY', 'MIP'] }] },
    ],
    ['another part of the body', { uid: '1.2', slices: 20, description: 'C SPINE' }],
    ['a bone reconstruction', { uid: '1.2', slices: 20, description: 'HEAD BONE' }],
    [
      'a sharp kernel',
      {
        uid: '1.2',
        slices: 20,
        description: 'HEAD',
        change: [{ tag: TAG.convolutionKernel, vr: 'SH', value: 'H70h' }],
      },
    ],
    ['a few slices', { uid: '1.2', slices: 3, description: 'HEAD' }],
    ['fewer slices', { uid: '1.2', slices: 5, description: 'HEAD' }],
  ])('prefers the plain head to %s, and says why', (_, other) => {
    expect(chosen(plain, other)).toBe('1.1');
    const all = made(plain, other);
    const { series, problems, others } = chooseDicomSeries(all, []);
    expect(problems.map(({ code }) => code)).toEqual(['other-series']);
    expect(problems[0]!.message).toMatch(
      /one of 2 .* chosen because it .*The others: one without a number, \d+ slices over /,
    );
    expect(whyNotChosen(others[0]!, all, series).message).toMatch(/^Not chosen: it .* --series 1\.2\.$/);
  });

  it('says of a series only what the chosen one is better in', () => {
    const why = (index: number, seriesUid?: string, ...of: readonly Made[]): string => {
      const all = made(...of);
      return whyNotChosen(all[index]!, all, chooseDicomSeries(all, [], { seriesUid }).series).message;
    };
    const [first, twin] = [plain, { ...plain, uid: '1.2' }];
    expect(why(1, undefined, first, twin)).toContain('nothing tells it from the chosen one');
    expect(why(1, undefined, { ...first, slices: 2 }, { ...twin, slices: 1 })).toContain('it has fewer slices');
    expect(why(0, '1.2', first, { ...twin, slices: 1 })).toContain('another was asked for');
    const reformat = made({ ...first, description: 'HEAD MPR' });
    expect(whyNotChosen(reformat[0]!, reformat, undefined).message).toContain('it is a reformat');
  });

  it('takes words of "without contrast" for what they say', () => {
    for (const description of ['HEAD WITHOUT CONTRAST', 'HEAD W/O CONTRAST', 'NON CONTRAST HEAD', 'HEAD C-']) {
      expect(chooseDicomSeries(made({ uid: '1.1', description }), []).problems).toEqual([]);
    }
    expect(chosen({ uid: '1.1', change: [lo(TAG.contrastAgent, 'NONE')] }, { uid: '1.2', slices: 5 })).toBe('1.1');
  });

  it('tells before and after an operation from before and after contrast medium', () => {
    const isContrast = (description: string): boolean =>
      chooseDicomSeries(made({ uid: '1.1', description }), []).problems.some(({ code }) => code === 'contrast');
    for (const description of ['Head post-op day 1', 'HEAD POST TRAUMA', 'post evacuation', 'HEAD_POST_SURGERY']) {
      expect([description, isContrast(description)]).toEqual([description, false]);
    }
    for (const description of ['HEAD POST', 'HEAD POST 5mm', 'POST IV', 'CTA HEAD PRE-OP', 'CT BRAIN C+ POST OP']) {
      expect([description, isContrast(description)]).toEqual([description, true]);
    }
  });

  it('warns where only a series with contrast medium is there', () => {
    const { problems } = chooseDicomSeries(made({ uid: '1.1', description: 'HEAD C+' }), []);
    expect(problems.map(({ code }) => code)).toEqual(['contrast']);
  });

  it('says of series in what is written into results neither UID nor description nor agent', () => {
    const number = (value: number): DicomAttribute => ({ tag: TAG.seriesNumber, vr: 'IS', value });
    const all = made(
      { uid: '1.2.99.1', description: 'MILLER CONTRAST', change: [number(3)] },
      { uid: '1.2.99.2', description: 'MILLER CTA', slices: 7, change: [number(4), lo(TAG.contrastAgent, 'MILLER')] },
    );
    for (const seriesUid of ['1.2.99.1', '1.2.99.2']) {
      const { problems } = chooseDicomSeries(all, [], { seriesUid });
      expect(problems.map(({ code }) => code)).toEqual(['other-series', 'contrast']);
      expect(JSON.stringify(problems)).not.toMatch(/MILLER|1\.2\.99/);
      expect(problems[0]!.message).toContain(
        seriesUid === '1.2.99.1' ? 'number 4, 7 slices over 30 mm, 5.00 mm apart' : 'number 3, 6 slices over 25 mm',
      );
    }
  });

  it('refuses reformats unless they are asked for', () => {
    const all = made({ uid: '1.1', description: 'AX MPR' });
    expect(() => chooseDicomSeries(all, [])).toThrow(/only reformats.*--series/);
    const { series, problems } = chooseDicomSeries(all, [], { seriesUid: '1.1' });
    expect([series.uid, problems.map(({ code }) => code)]).toEqual(['1.1', ['reformat']]);
  });
});

describe('groupDicomSeries', () => {
  it('keeps acquisitions over one another apart, and those side by side together', () => {
    const acquired = (number: number, from: number): DicomSeries['slices'][number][] =>
      Array.from({ length: 4 }, (_, k) => {
        const change: DicomAttribute[] = [{ tag: TAG.acquisitionNumber, vr: 'IS', value: number }];
        return readDicomSlices(ctFile(from + 5 * k, { change }), `${number}/${k}`);
      }).flat();
    const over = groupDicomSeries([...acquired(1, 0), ...acquired(2, 0.4)]);
    expect(over.map(({ slices, problems }) => [slices.length, problems.map(({ code }) => code)])).toEqual([
      [4, ['mixed-acquisitions']],
      [4, ['mixed-acquisitions']],
    ]);
    const beside = groupDicomSeries([...acquired(1, 0), ...acquired(2, 20)]);
    expect(beside.map(({ slices, problems }) => [slices.length, problems])).toEqual([[8, []]]);
  });

  it('reports slices that overlap or are shifted in their plane', () => {
    const codes = (slices: readonly DicomSeries['slices'][number][]): string[] =>
      groupDicomSeries(slices)[0]!.problems.map(({ code }) => code);
    expect(codes([0, 2, 4].flatMap((z) => readDicomSlices(ctFile(z), `${z}`)))).toEqual(['overlapping-slices']);
    const shifted = [0, 5, 10].flatMap((z) => {
      const value = [z === 5 ? -97 : -100, -110, z];
      return readDicomSlices(ctFile(z, { change: [{ tag: TAG.imagePosition, vr: 'DS', value }] }), `${z}`);
    });
    expect(codes(shifted)).toEqual(['uneven-steps', 'shifted-slices']);
  });
});
