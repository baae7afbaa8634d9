import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { writeDicomSeries, type Affine, type Volume } from '@aaunet/imaging';
import { readNiftiFile, readVolume, writeNiftiFile } from '@aaunet/imaging/node';
import { memoryStats } from '@aaunet/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { evaluateRun } from '../evaluation/evaluate.js';
import { evaluationSchema } from '../metrics/evaluation-report.js';
import { tinyScan, writeTinyDataset } from '../testing/tiny-dataset.js';
import { checkpointPath } from '../training/checkpoint.js';
import { resolveTrainConfig } from '../training/config.js';
import { train } from '../training/train.js';
import { loadEngine } from './engine.js';
import { predict } from './predict.js';

const TIMEOUT = 300_000;

/** Not canonical: columns run to the right, rows to the front, slices down. */
const FLIPPED: Affine = [
  [0.5, 0, 0, -20],
  [0, 0.5, 0, -10],
  [0, 0, -5, 40],
  [0, 0, 0, 1],
];

let folder: string;
let run: string;
let tensorsBefore: number;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-end-to-end-'));
  run = join(folder, 'run');
  const data = join(folder, 'data');
  tensorsBefore = memoryStats().tensors;
  await writeTinyDataset(data);
  await train(
    resolveTrainConfig({ data, size: 64, batch: 2, epochs: 1, stepsPerEpoch: 2, classWeights: { background: 1 } }),
    { run },
  );
}, TIMEOUT);
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('from data set to label map', { timeout: TIMEOUT }, () => {
  it('evaluates a run: what is returned is what is written, valid, and counts every voxel once', async () => {
    const evaluation = await evaluateRun(run);
    const written: unknown = JSON.parse(await readFile(join(run, 'evaluation.json'), 'utf8'));
    expect(evaluationSchema.parse(written)).toEqual(evaluation);
    expect(evaluation).toMatchObject({
      model: 'rsu-sc',
      split: 'test',
      synthetic: true,
      size: 'source',
      inputSize: 64,
      caseCount: 1,
    });
    const voxels = evaluation.confusion.flat().reduce((sum, count) => sum + count, 0);
    expect(voxels).toBe(evaluation.sliceCount * 64 * 64);
    const again = await evaluateRun(run);
    expect({ ...again, secondsPerImage: 0 }).toEqual({ ...evaluation, secondsPerImage: 0 });
    const { types, cases, calibration } = evaluation.assessment!;
    expect(types.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6, 7, 0]);
    evaluation.classes.forEach((scores, index) => {
      expect(types[index]!.pooled.dice).toMatchObject({ value: scores.pooled.dice, n: scores.pooled.n });
      expect(types[index]!.cases.dice.value).toBe(scores.cases.dice);
      expect(types[index]!.slices.dice).toMatchObject({ value: scores.slices.dice, n: scores.slices.n });
    });
    // Three slices with a square of 8 x 8 voxels of 4 x 4 x 5 mm.
    expect(cases[0]!.types[0]!.truthMl).toBeCloseTo((3 * 8 * 8 * 4 * 4 * 5) / 1000, 6);
    expect(calibration.pixels.n).toBe(evaluation.sliceCount * 64 * 64);
    expect(memoryStats().tensors).toBe(tensorsBefore);
  });

  it('evaluates other parts of the split and the other convention, and stops when asked to', async () => {
    const evaluation = await evaluateRun(run, { split: 'train', empty: 'one' });
    expect(evaluation).toMatchObject({ split: 'train', empty: 'one', caseCount: 4 });
    await expect(evaluateRun(run, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    expect(memoryStats().tensors).toBe(tensorsBefore);
  });

  it('refuses a folder that is no run in one sentence', async () => {
    await expect(evaluateRun(folder)).rejects.toThrow(/config\.json/);
    await expect(loadEngine(folder)).rejects.toThrow(/holds no checkpoint; train it first/);
    await expect(loadEngine(join(folder, 'none'))).rejects.toThrow(/Expected a network: a run folder/);
  });

  it('predicts NIfTI of another size and orientation, and a DICOM series, each into its own geometry', async () => {
    const nifti = join(folder, 'scan.nii.gz');
    const odd: Volume<Int16Array> = {
      data: Int16Array.from({ length: 3 * 40 * 50 }, (_, i) => (i % 50 < 5 ? -1000 : i % 997)),
      slices: 3,
      rows: 40,
      columns: 50,
      affine: FLIPPED,
    };
    await writeNiftiFile(nifti, odd);
    const dicom = join(folder, 'series');
    await mkdir(dicom);
    const { scan } = tinyScan('unseen', 64);
    for (const [i, file] of writeDicomSeries(scan, { seed: 'end to end' }).entries())
      await writeFile(join(dicom, `${i}.dcm`), file);

    const { predictions, failures } = await predict([nifti, dicom], { model: run, out: join(folder, 'out') });
    expect(failures).toEqual([]);
    expect(predictions).toHaveLength(2);
    for (const { input, folder: result, report } of predictions) {
      const source = (await readVolume(input)).volume;
      const { volume: labels } = await readNiftiFile(join(result, 'segmentation.nii.gz'));
      expect([labels.columns, labels.rows, labels.slices]).toEqual([source.columns, source.rows, source.slices]);
      labels.affine.flat().forEach((value, i) => {
        expect(value).toBeCloseTo(source.affine.flat()[i]!, 4);
      });
      expect(labels.data.every((label) => label >= 0 && label <= 7)).toBe(true);
      expect(report.types).toHaveLength(7);
    }
    expect(memoryStats().tensors).toBe(tensorsBefore);
  });

  it('gives the same labels from the run folder and from the weights file, whatever the batch', async () => {
    const { scan } = tinyScan('unseen', 64);
    const weights = join(folder, 'model.safetensors');
    await writeFile(weights, await readFile(checkpointPath(run, 'best')));
    await writeFile(join(folder, 'model.json'), await readFile(join(run, 'model.json')));
    const results: Uint8Array[] = [];
    const progress: string[] = [];
    for (const [model, batch] of [
      [run, 4],
      [weights, 4],
      [weights, 2],
    ] as const) {
      const engine = await loadEngine(model, { batch });
      const onProgress = (done: number, total: number): void => void progress.push(`${done}/${total}`);
      results.push((await engine.segment(scan, { onProgress })).data);
      expect(engine.identity).toMatchObject({ name: 'rsu-sc', syntheticWeights: true });
      await engine.close();
    }
    expect(progress).toEqual(['3/3', '3/3', '2/3', '3/3']);
    expect(results[1]).toEqual(results[0]);
    const differing = results[2]!.filter((label, i) => label !== results[0]![i]).length;
    // bf16 kernels may round differently for another batch.
    expect(differing / results[2]!.length).toBeLessThan(0.01);
    expect(memoryStats().tensors).toBe(tensorsBefore);
  });
});
