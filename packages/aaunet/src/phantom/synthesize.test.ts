import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { readNiftiFile } from '@aaunet/imaging/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { readDataset } from '../datasets/dataset.js';
import { LESION_TYPES } from './lesions/lesion.js';
import { generatePhantom } from './phantom.js';
import { planDataset } from './plan.js';
import { caseStatistics, formatStatistics, phantomStatistics } from './statistics.js';
import { synthesize } from './synthesize.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-synth-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('planDataset', () => {
  it('gives every type enough patients for a patient-wise split, in small sets too', () => {
    for (const [cases, least] of [
      [51, 8],
      [24, 5],
      [16, 4],
    ] as const) {
      for (const seed of [0, 1, 2, 3]) {
        const plans = planDataset({ cases, seed });
        for (const type of LESION_TYPES) {
          const patients = plans.filter((plan) => plan.lesions.some((l) => l.type === type)).length;
          expect(patients, `${type} in ${cases} cases, seed ${seed}`).toBeGreaterThanOrEqual(least);
        }
        expect(plans.some((plan) => plan.lesions.length === 0)).toBe(true);
        expect(plans.every((plan) => plan.slices >= 30 && plan.slices <= 50)).toBe(true);
      }
    }
  });

  it('repeats itself by seed and differs between seeds', () => {
    expect(planDataset({ cases: 9, seed: 4 })).toEqual(planDataset({ cases: 9, seed: 4 }));
    expect(planDataset({ cases: 9, seed: 4 })[0]!.seed).not.toBe(planDataset({ cases: 9, seed: 5 })[0]!.seed);
  });

  it("leaves about the paper's 46.55 % of the slices of 51 cases without a lesion", () => {
    const cases = planDataset({ cases: 51, seed: 0 }).map((plan) => {
      const { labels } = generatePhantom({ ...plan, size: 96, draft: true });
      return caseStatistics(plan.name, plan.patient, labels);
    });
    const statistics = phantomStatistics(cases);
    expect(Math.abs(statistics.emptyPercent - 46.55)).toBeLessThanOrEqual(3);
    for (const type of statistics.types) expect(type.patients, type.name).toBeGreaterThanOrEqual(8);
  }, 180_000);
});

describe('synthesize', () => {
  it("writes nnU-Net's raw format and CT series that say they are synthetic", async () => {
    const statistics = await synthesize(folder, { cases: 1, size: 32, seed: 3, dicom: true });
    const dataset = JSON.parse(await readFile(join(folder, 'dataset.json'), 'utf8')) as Record<string, unknown>;
    expect(dataset).toMatchObject({ synthetic: true, numTraining: 1, patients: { PHANTOM_001: 'P001' } });
    const { volume } = await readNiftiFile(join(folder, 'imagesTr', 'PHANTOM_001_0000.nii.gz'));
    expect(volume.slices).toBe(statistics.slices.total);
    const files = await readdir(join(folder, 'dicom', 'PHANTOM_001'));
    expect(files.length).toBe(volume.slices);
    const header = await readFile(join(folder, 'dicom', 'PHANTOM_001', files[0]!), 'latin1');
    expect(header).toContain('SYNTHETIC PHANTOM');
    expect(formatStatistics(statistics)).toContain('SYNTHETIC');
  });

  it('leaves nothing of an interrupted call that planned other cases', async () => {
    await mkdir(join(folder, 'imagesTr'));
    await mkdir(join(folder, 'labelsTr'));
    await mkdir(join(folder, 'dicom', 'PHANTOM_001'), { recursive: true });
    for (const left of [
      'imagesTr/PHANTOM_900_0000.nii.gz',
      'labelsTr/PHANTOM_900.nii.gz',
      'labelsTr/.PHANTOM_001.x.tmp',
    ])
      await writeFile(join(folder, left), 'left over');
    await synthesize(folder, { cases: 1, size: 32, workers: 1 });
    expect((await readDataset(folder)).cases).toHaveLength(1);
    expect(await readdir(join(folder, 'labelsTr'))).toHaveLength(1);
    expect(await readdir(folder)).not.toContain('dicom');
  });

  it('stops between cases, without dataset.json, where it is asked to', async () => {
    const controller = new AbortController();
    const onProgress = (): void => {
      controller.abort(new Error('enough'));
    };
    const options = { cases: 3, size: 32, workers: 1, onProgress, signal: controller.signal };
    await expect(synthesize(folder, options)).rejects.toThrow('enough');
    expect(await readdir(join(folder, 'labelsTr'))).toHaveLength(1);
    expect(await readdir(folder)).not.toContain('dataset.json');
  });

  it('writes into no folder that holds something else', async () => {
    await writeFile(join(folder, 'notes.txt'), 'mine');
    await expect(synthesize(folder, { cases: 1, size: 32 })).rejects.toThrow(/notes\.txt/);
  });
});
