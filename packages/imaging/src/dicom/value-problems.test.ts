import { describe, expect, it } from 'vitest';

import type { DicomAttribute } from './encode.js';
import { ctFile } from './fixture.js';
import { readDicomSeries, type DicomReadOptions } from './read.js';
import { TAG } from './tags.js';

const ds = (tag: number, value: number): DicomAttribute => ({ tag, vr: 'DS', value });

async function read(pixels: Uint16Array, change: readonly DicomAttribute[], options: DicomReadOptions = {}) {
  const { volume, series } = await readDicomSeries([{ name: 'a', bytes: ctFile(0, { pixels, change }) }], options);
  const problem = series.problems.find(({ code }) => code !== 'single-slice');
  return { hu: Array.from(volume.data), problem };
}

describe('a wrong rescale intercept of 12-bit files', () => {
  // Air at -1000 HU has wrapped around to 3096; blood at 60 and bone at 900 are as they should be.
  const wrapped = Uint16Array.of(3096, 3096, 3100, 60, 900, 0);

  it('is mended where air has wrapped around, and reported', async () => {
    const { hu, problem } = await read(wrapped, [ds(TAG.rescaleIntercept, 0)]);
    expect(hu).toEqual([-1000, -1000, -996, 60, 900, 0]);
    expect(problem).toMatchObject({ code: 'rsna-intercept' });
    expect(problem?.message).toContain('HU were computed with -1000');
  });

  it('is only reported where no repair is wanted', async () => {
    const { hu, problem } = await read(wrapped, [ds(TAG.rescaleIntercept, 0)], { repair: false });
    expect(hu).toEqual(Array.from(wrapped));
    expect(problem?.message).toContain('nothing was repaired');
  });

  it('is not seen in files that are right', async () => {
    const right = Uint16Array.of(0, 10, 1060, 1900, 4095, 1000);
    expect((await read(right, [ds(TAG.rescaleIntercept, -1000)])).problem).toBeUndefined();
    // No air at all, but a value that could be metal is no evidence: nothing has wrapped.
    const signed: DicomAttribute = { tag: TAG.pixelRepresentation, vr: 'US', value: 1 };
    expect((await read(wrapped, [ds(TAG.rescaleIntercept, 0), signed])).problem).toBeUndefined();
    const sixteen: DicomAttribute[] = [
      { tag: TAG.bitsStored, vr: 'US', value: 16 },
      { tag: TAG.highBit, vr: 'US', value: 15 },
    ];
    expect((await read(wrapped, [ds(TAG.rescaleIntercept, 0), ...sixteen])).problem).toBeUndefined();
  });
});

describe('padding', () => {
  const padding: DicomAttribute = { tag: TAG.pixelPadding, vr: 'US', value: 1030 };
  const pixels = Uint16Array.of(1030, 1030, 1040, 1080, 2000, 0);

  it('that would look like tissue becomes air, and is reported', async () => {
    const { hu, problem } = await read(pixels, [padding]);
    expect(hu).toEqual([-1000, -1000, 40, 80, 1000, -1000]);
    expect(problem).toMatchObject({ code: 'padding' });
    expect((await read(pixels, [padding], { repair: false })).hu).toEqual([30, 30, 40, 80, 1000, -1000]);
  });

  it('that is as dark as air stays what it is', async () => {
    const dark: DicomAttribute = { ...padding, value: 0 };
    expect((await read(Uint16Array.of(0, 1, 2, 3, 4, 5), [dark])).problem).toBeUndefined();
  });
});

it('MONOCHROME1 is reported and inverts nothing', async () => {
  const change: DicomAttribute[] = [{ tag: TAG.photometricInterpretation, vr: 'CS', value: 'MONOCHROME1' }];
  const { hu, problem } = await read(Uint16Array.of(0, 1000, 1040, 1080, 2000, 0), change);
  expect([hu, problem?.code]).toEqual([[-1000, 0, 40, 80, 1000, -1000], 'monochrome1']);
});
