import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Affine, Volume } from '@aaunet/imaging';
import { readNiftiFile, readVolume, writeNiftiFile } from '@aaunet/imaging/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SegmentationEngine } from './engine.js';
import { type PredictEvent, predict, predictWith } from './predict.js';

const testData =
  process.env['AAUNET_TEST_DATA'] ?? fileURLToPath(new URL('../../../../../shared/data', import.meta.url));

/** Marks what is above 100 HU and below 1000 as ICH: a "network" whose right answer is known. */
const threshold: SegmentationEngine = {
  identity: { name: 'threshold', labels: ['ICH'], syntheticWeights: false },
  segment: (scan, options) => {
    options?.onProgress?.(scan.slices, scan.slices);
    return Promise.resolve({ ...scan, data: Uint8Array.from(scan.data, (hu) => (hu > 100 && hu < 1000 ? 1 : 0)) });
  },
  close: () => Promise.resolve(),
};

let out: string;
beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), 'aaunet-predict-'));
});
afterEach(async () => {
  await rm(out, { recursive: true, force: true });
});

function scanWith(affine: Affine): Volume<Int16Array> {
  const data = new Int16Array(4 * 5 * 6).fill(-1000);
  data.set([500, 1200, 40], 7);
  return { data, columns: 4, rows: 5, slices: 6, affine };
}

const orientations: [string, Affine][] = [
  [
    'canonical',
    [
      [-1, 0, 0, 3],
      [0, -2, 0, 4],
      [0, 0, 5, 5],
      [0, 0, 0, 1],
    ],
  ],
  [
    'flipped',
    [
      [1, 0, 0, 3],
      [0, 2, 0, 4],
      [0, 0, -5, 5],
      [0, 0, 0, 1],
    ],
  ],
  [
    'sagittal',
    [
      [0, 0, 5, 3],
      [-1, 0, 0, 4],
      [0, -2, 0, 5],
      [0, 0, 0, 1],
    ],
  ],
];

describe('predictWith', () => {
  it.each(orientations)('brings labels back to the voxels of a %s source', async (_, affine) => {
    const scan = scanWith(affine);
    const path = join(out, 'scan.nii.gz');
    await writeNiftiFile(path, scan);
    const { predictions, failures } = await predictWith(threshold, [path], { out: join(out, 'results') });
    expect(failures).toEqual([]);
    const { volume } = await readNiftiFile(join(predictions[0]!.folder, 'segmentation.nii.gz'));
    expect(volume.affine).toEqual((await readNiftiFile(path)).volume.affine);
    expect([...volume.data].map((label, index) => (label ? index : -1)).filter((index) => index >= 0)).toEqual([7]);
    expect(predictions[0]!.report.types[0]).toMatchObject({ voxels: 1, volumeMl: 0.01 });
  });

  it('goes on after a bad input and says which and why', async () => {
    const good = join(out, 'good.nii');
    await writeNiftiFile(good, scanWith(orientations[0]![1]));
    const bad = join(out, 'bad.nii');
    await writeFile(bad, 'not a scan');
    const { predictions, failures } = await predictWith(threshold, [bad, good], { out: join(out, 'results') });
    expect(failures.map(({ input }) => input)).toEqual([bad]);
    expect(predictions.map(({ input }) => input)).toEqual([good]);
    expect(await readdir(join(out, 'results'))).toEqual(['good', 'manifest.json']);
  });

  it('warns of values that are no Hounsfield units', async () => {
    const path = join(out, 'grey.nii');
    const scan = scanWith(orientations[0]![1]);
    await writeNiftiFile(path, { ...scan, data: new Int16Array(scan.data.length).fill(128) });
    const events: PredictEvent[] = [];
    const { predictions } = await predictWith(threshold, [path], {
      out: join(out, 'r'),
      onEvent: (event) => events.push(event),
    });
    expect(predictions[0]!.report.problems.map(({ code }) => code)).toEqual(['not-hu', 'incomplete-coverage']);
    expect(events.map(({ type }) => type)).toEqual(['input', 'progress', 'problem', 'problem']);
  });

  it("warns of a sheared NIfTI header, and of a network that has only seen pictures' approximate HU", async () => {
    const path = join(out, 'tilted.nii');
    const [[x], [, y], [, , z]] = orientations[0]![1];
    const sheared: Affine = [
      [x, 0, 0, 0],
      [0, y, 2, 0],
      [0, 0, z, 0],
      [0, 0, 0, 1],
    ];
    await writeNiftiFile(path, scanWith(sheared));
    const engine = { ...threshold, identity: { ...threshold.identity, approximateHu: true } };
    const { predictions } = await predictWith(engine, [path], { out: join(out, 'r') });
    const codes = predictions[0]!.report.problems.map(({ code }) => code);
    expect(codes).toEqual(expect.arrayContaining(['sheared-affine', 'approximate-hu']));
  });

  it('stops between inputs when asked to', async () => {
    await expect(predictWith(threshold, ['x'], { out, signal: AbortSignal.abort(new Error('stop')) })).rejects.toThrow(
      'stop',
    );
  });

  it.skipIf(!existsSync(join(testData, 'ge-head-ct')))(
    'keeps the geometry of a real tilted series with uneven steps and names no patient',
    async () => {
      const source = join(testData, 'ge-head-ct');
      const { predictions } = await predictWith(threshold, [source], { out });
      const { folder, report } = predictions[0]!;
      const { volume } = await readVolume(source);
      const { volume: labels } = await readNiftiFile(join(folder, 'segmentation.nii.gz'));
      expect([labels.columns, labels.rows, labels.slices]).toEqual([512, 512, 28]);
      labels.affine.flat().forEach((value, index) => {
        expect(value).toBeCloseTo(volume.affine.flat()[index]!, 4);
      });
      expect(report.geometry).toMatchObject({ tiltDegrees: 18.5, unevenSteps: true });
      expect(report.geometry.stepMm!.max).toBeCloseTo(7.38, 2);
      expect(report.geometry.stepMm!.min).toBeCloseTo(1.14, 2);
      expect(report.problems.map(({ code }) => code)).toContain('gantry-tilt');
      const text = await readFile(join(folder, 'report.json'), 'utf8');
      expect(text).not.toMatch(/\d\.\d+\.\d+\.\d+\.\d+|patient(Id|Name)/i);
    },
    120_000,
  );
});

describe('predict', () => {
  it('refuses a missing input before it loads a model', async () => {
    await expect(predict([join(out, 'none')], { model: 'm', out })).rejects.toThrow('found nothing there');
  });
});
