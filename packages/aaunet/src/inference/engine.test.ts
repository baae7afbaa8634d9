import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { LABEL_NUMBERS, type Volume } from '@aaunet/imaging';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { TINY_AFFINE } from '../testing/tiny-dataset.js';
import { writePointwiseModel } from '../testing/pointwise-model.js';
import { loadEngine } from './engine.js';

const SIZE = 32;
/** ICH from 0.5 of the window upwards. */
const BRIGHT = [
  [0, 0],
  [20, -10],
] as const;
const NARROW = { window: { center: 40, width: 80 } };
const WIDE = { window: { center: 100, width: 400 } };

/** Columns of -100 HU to 210 HU. */
const RAMP: Volume<Int16Array> = {
  slices: 2,
  rows: SIZE,
  columns: SIZE,
  affine: TINY_AFFINE,
  data: Int16Array.from({ length: 2 * SIZE * SIZE }, (_, index) => -100 + 10 * (index % SIZE)),
};

let folder: string;
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-engine-test-'));
  await writePointwiseModel(at('narrow.onnx'), BRIGHT, NARROW);
  await writePointwiseModel(at('wide.onnx'), BRIGHT, WIDE);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Probabilities (0 to 255) of one type in the first row of the scan. */
async function probabilityOf(type: number, models: readonly string[], flip = false): Promise<number[]> {
  const engine = await loadEngine(models.map(at), { flip });
  try {
    const { probabilities } = await engine.segmentWithProbabilities!(RAMP);
    return [...probabilities[type - 1]!.data.subarray(0, SIZE)];
  } finally {
    await engine.close();
  }
}

describe('several networks together', () => {
  it.each([false, true])(
    'each see the scan in the window that they were trained with (mirrored too: %s)',
    async (flip) => {
      const narrow = await probabilityOf(1, ['narrow.onnx'], flip);
      const wide = await probabilityOf(1, ['wide.onnx'], flip);
      expect(narrow.some((value, i) => Math.abs(value - wide[i]!) > 100)).toBe(true);
      for (const models of [
        ['narrow.onnx', 'wide.onnx'],
        ['wide.onnx', 'narrow.onnx'],
      ]) {
        const both = await probabilityOf(1, models, flip);
        both.forEach((value, i) => {
          expect(Math.abs(value - (narrow[i]! + wide[i]!) / 2)).toBeLessThanOrEqual(1);
        });
      }
    },
  );

  it('never say what one of them was not taught', async () => {
    await writePointwiseModel(at('few.onnx'), BRIGHT, { annotated: ['SDH', 'EDH'] });
    expect(Math.max(...(await probabilityOf(1, ['narrow.onnx'])))).toBeGreaterThan(200);
    expect(Math.max(...(await probabilityOf(1, ['narrow.onnx', 'few.onnx'])))).toBe(0);
    const engine = await loadEngine([at('narrow.onnx'), at('few.onnx')]);
    expect(engine.identity.labels).toEqual(['SDH', 'EDH']);
    expect(new Set((await engine.segment(RAMP)).data)).toEqual(new Set([0]));
    await engine.close();
  });

  it('are refused where their inputs differ in size', async () => {
    await writePointwiseModel(at('large.onnx'), BRIGHT, { size: 64 });
    await expect(loadEngine([at('narrow.onnx'), at('large.onnx')])).rejects.toThrow(
      'Expected models of one input size to decide together, found 32 and 64; use them one by one.',
    );
    await writePointwiseModel(at('earlier.onnx'), BRIGHT, { fit: undefined });
    await expect(loadEngine([at('narrow.onnx'), at('earlier.onnx')])).rejects.toThrow(
      'Expected models of one way of making slices square to decide together, found pad and stretch; use them one by one.',
    );
  });
});

describe('a scan that is not square', () => {
  /** 32 x 20 pixels of noise, in which single pixels are bright: none would outlive being stretched. */
  const data = Int16Array.from({ length: 2 * 32 * 20 }, (_, index) => ((index * 2654435761) >>> 29 === 0 ? 90 : -500));
  const scan: Volume<Int16Array> = { ...RAMP, rows: 32, columns: 20, data };
  const bright = Uint8Array.from(data, (hu) => (hu > 40 ? 1 : 0));

  async function labelsOf(model: string): Promise<Uint8Array> {
    const engine = await loadEngine(at(model));
    try {
      const { labels, probabilities } = await engine.segmentWithProbabilities!(scan);
      expect((await engine.segment(scan)).data).toEqual(labels.data);
      expect([probabilities[0]!.rows, probabilities[0]!.columns]).toEqual([32, 20]);
      return labels.data;
    } finally {
      await engine.close();
    }
  }

  it('is padded, so that every label comes back to its own pixel', async () => {
    expect(await labelsOf('narrow.onnx')).toEqual(bright);
  });

  it('is stretched for a network of an earlier version, which was trained so', async () => {
    await writePointwiseModel(at('earlier.onnx'), BRIGHT, { ...NARROW, fit: undefined });
    const labels = await labelsOf('earlier.onnx');
    expect(labels).not.toEqual(bright);
    expect(labels.includes(1)).toBe(true);
  });
});

describe('an .onnx file', () => {
  it('is refused where its labels are not the ones that results are written with', async () => {
    const fewer = Object.fromEntries(Object.entries(LABEL_NUMBERS).filter(([name]) => name !== 'EDH'));
    for (const [labels, found] of [
      [{ ...LABEL_NUMBERS, ICH: 2, SDH: 1 }, 'found "ICH" 2'],
      [{ ...LABEL_NUMBERS, Tumour: 8 }, 'found "Tumour" 8'],
      [{ ...LABEL_NUMBERS, IVH: 70 }, 'found "IVH" 70'],
      [{ background: 0, IPH: 1 }, 'found "IPH" 1'],
      [fewer, 'found no EDH'],
      [{}, 'found no background'],
    ] as const) {
      await writePointwiseModel(at('foreign.onnx'), BRIGHT, { labels });
      await expect(loadEngine(at('foreign.onnx'))).rejects.toThrow(
        new RegExp(`foreign\\.onnx is not valid: "labels": expected background 0, ICH 1, .*IVH 7, ${found}\\.$`),
      );
    }
  });

  it('is refused where it speaks of a type that there is not', async () => {
    await writePointwiseModel(at('foreign.onnx'), BRIGHT, { annotated: ['ICH', 'Tumour'] });
    await expect(loadEngine(at('foreign.onnx'))).rejects.toThrow(/foreign\.onnx is not valid: "annotated\.1"/);
  });

  it('is not run on another device than was asked for: that is said', async () => {
    for (const device of ['cuda', 'cuda:1'])
      await expect(loadEngine(at('narrow.onnx'), { device })).rejects.toThrow(
        new RegExp(
          `^Expected device cpu for an \\.onnx file.*found ${device} for .*give the run folder as --model\\.$`,
        ),
      );
    await (await loadEngine(at('narrow.onnx'), { device: 'cpu' })).close();
  });

  it('is refused in a sentence where it is a folder', async () => {
    await mkdir(at('folder.onnx'));
    await expect(loadEngine(at('folder.onnx'))).rejects.toThrow(/^Expected an \.onnx file at .*found a folder/);
  });
});
