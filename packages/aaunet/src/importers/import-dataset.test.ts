import { access, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { LABELS } from '@aaunet/imaging';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { readDataset } from '../datasets/dataset.js';
import { evaluateRun } from '../evaluation/evaluate.js';
import { resolveTrainConfig } from '../training/config.js';
import { readMetrics } from '../training/metrics-log.js';
import { readModelFile } from '../training/model-file.js';
import type { TrainEvent } from '../training/events.js';
import { train } from '../training/train.js';
import { importDataset } from './import-dataset.js';
import type { ImportKind } from './importers.js';
import { binary, MINIATURES, miniCase, put, putNifti, writeCtIch, writeInstance22 } from './miniatures.js';
import { formatImportReport } from './report.js';
import { caseNames } from './write-case.js';

let folder = '';
let source = '';
let out = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-importing-'));
  [source, out] = [join(folder, 'src'), join(folder, 'out')];
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

describe('importDataset', () => {
  it('leaves no data set behind when it is stopped, and goes on with the next case when called again', async () => {
    await writeInstance22(source);
    const controller = new AbortController();
    const onProgress = (done: number): void => {
      if (done === 2) controller.abort(new Error('stopped'));
    };
    await expect(importDataset('instance22', source, out, { onProgress, signal: controller.signal })).rejects.toThrow(
      'stopped',
    );
    expect(await exists(join(out, 'dataset.json'))).toBe(false);
    const first = join(out, 'imagesTr', 'INSTANCE_001_0000.nii.gz');
    const written = (await stat(first)).mtimeMs;
    await importDataset('instance22', source, out);
    expect((await stat(first)).mtimeMs).toBe(written);
    expect((await readDataset(out)).cases).toHaveLength(4);
    expect((await readdir(out)).sort()).toEqual(
      ['dataset.json', 'import-report.json', 'import-report.txt', 'imagesTr', 'labelsTr'].sort(),
    );
    await expect(importDataset('instance22', source, out)).rejects.toThrow('already holds a data set');
  });

  it('reads a case again whose file has changed since, and drops those that are gone', async () => {
    await writeInstance22(source);
    const controller = new AbortController();
    const onProgress = (done: number): void => {
      if (done === 3) controller.abort(new Error('stopped'));
    };
    await importDataset('instance22', source, out, { onProgress, signal: controller.signal }).catch(() => undefined);
    const mask = join(source, 'train_2', 'label', '002.nii.gz');
    await putNifti(mask, binary(miniCase('other').labels, 3));
    await utimes(mask, 1, 1);
    await rm(join(source, 'train_2', 'data', '003.nii.gz'));
    const { cases } = await importDataset('instance22', source, out);
    expect(cases.map(({ name }) => name)).toEqual(['INSTANCE_001', 'INSTANCE_002', 'INSTANCE_004']);
    expect(cases[1]!.voxels[8]).toBe(miniCase('other').labels.data.filter((label) => label > 0).length);
    expect((await readDataset(out)).cases).toHaveLength(3);
  });

  it('treats equal scans as one patient', async () => {
    await writeInstance22(source);
    const { scan, labels } = miniCase('001');
    await putNifti(join(source, 'train_2', 'data', '005.nii.gz'), scan);
    await putNifti(join(source, 'train_2', 'label', '005.nii.gz'), binary(labels));
    const { cases } = await importDataset('instance22', source, out);
    expect(cases.at(-1)).toMatchObject({ name: 'INSTANCE_005', patient: 'instance22:001' });
    expect(cases.at(-1)!.notes.at(-1)!.message).toContain('voxel for voxel that of INSTANCE_001');
  });

  const nowhere: [ImportKind, string][] = [
    ['bhsd', '"images" and "ground truths"'],
    ['instance22', '"data" and "label"'],
    ['ct-ich', '"ct_scans" and "masks"'],
    ['seg-cq500', 'CT.nii and ICH_mask.nii.gz'],
    ['mbh-seg', 'label_annot_N.nii.gz'],
    ['hemseg', '{train,val,test}/label'],
    ['nnunet', 'imagesTr and labelsTr'],
    ['pairs', 'pairs.json'],
  ];
  it.each(nowhere)('says which layout of %s it did not find', async (kind, expected) => {
    await put(join(source, 'readme.txt'), 'nothing here');
    await expect(importDataset(kind, source, out)).rejects.toThrow(expected);
    expect(await exists(out)).toBe(false);
  });

  it('refuses archives, missing folders, its own source, and folders that hold other things', async () => {
    await writeInstance22(source);
    await put(join(folder, 'label_192.zip'), 'PK');
    await expect(importDataset('bhsd', join(folder, 'label_192.zip'), out)).rejects.toThrow('unpack it');
    await expect(importDataset('bhsd', join(folder, 'none'), out)).rejects.toThrow('found nothing there');
    await expect(importDataset('instance22', source, join(source, 'out'))).rejects.toThrow('outside of');
    await put(join(out, 'thesis.docx'), 'mine');
    await expect(importDataset('instance22', source, out)).rejects.toThrow('found "thesis.docx"');
    expect(await readFile(join(out, 'thesis.docx'), 'utf8')).toBe('mine');
  });

  it('follows no link to a folder, and skips a damaged case', async () => {
    await writeInstance22(source);
    await mkdir(join(folder, 'private'), { recursive: true });
    await symlink(folder, join(source, 'train_2', 'loop'));
    await put(join(source, 'train_2', 'data', '002.nii.gz'), Uint8Array.of(0x1f, 0x8b, 1, 2, 3));
    const { cases, skipped } = await importDataset('instance22', source, out);
    expect(cases).toHaveLength(3);
    expect(skipped.map(({ name }) => name)).toEqual(['INSTANCE_002']);
    // Reports go to colleagues: no path of this machine.
    expect(await readFile(join(out, 'import-report.json'), 'utf8')).not.toContain(folder);
  });

  it('tells people what happened, equal findings once', async () => {
    await writeCtIch(source);
    const report = await importDataset('ct-ich', source, out);
    const text = formatImportReport(report);
    expect(text).toBe(await readFile(join(out, 'import-report.txt'), 'utf8'));
    expect(text).toContain('4 cases of 4 patients imported, 0 skipped');
    expect(text).toContain('marked by name: ICH, SDH, SAH, EDH, IVH');
    expect(text.match(/several types/g)).toHaveLength(1);
    expect(text).toContain('CTICH_049, CTICH_050, CTICH_066, CTICH_067');
  });
});

describe('caseNames', () => {
  it('are safe on every system and never the same twice', () => {
    const named = (names: string[]) =>
      caseNames(
        names.map((name) => ({ name, patient: 'p', files: [], read: () => Promise.reject(new Error('none')) })),
      );
    expect(named(['a/b', 'a b', '../..', '', 'A-b', 'x_0000', '-y'])).toEqual([
      'a-b',
      'a-b-2',
      'case',
      'case-2',
      'A-b-3',
      'x',
      'y',
    ]);
    expect(named(['x'.repeat(500)])[0]).toHaveLength(100);
  });
});

describe('training on what was imported', { timeout: 300_000 }, () => {
  it.each(MINIATURES)('%s: takes an epoch, and scores the types that it marks alone', async (_, kind, write) => {
    await write(source);
    await importDataset(kind, source, out);
    const { annotated, approximateHu } = await readDataset(out);
    const config = resolveTrainConfig({
      data: out,
      size: 64,
      batch: 2,
      epochs: 1,
      stepsPerEpoch: 2,
      precision: 'fp32',
      seed: 1,
    });
    const said: string[] = [];
    const onEvent = (event: TrainEvent): void => {
      if (event.type === 'message') said.push(event.text);
    };
    const result = await train(config, { run: join(folder, 'run'), onEvent });
    expect(said.some((text) => text.includes('HU of this data set are approximate'))).toBe(approximateHu);
    expect(await readModelFile(join(folder, 'run'))).toMatchObject({ annotated, approximateHu });
    expect(result).toMatchObject({ steps: 2, interrupted: false });
    const losses = readMetrics(join(folder, 'run')).flatMap((metric) => (metric.type === 'step' ? [metric.loss] : []));
    expect(losses.every((loss) => Number.isFinite(loss) && loss > 0)).toBe(true);
    const scored = readMetrics(join(folder, 'run')).flatMap((metric) =>
      metric.type === 'validation' ? [metric.dice] : [],
    );
    // A type without a score is null: it is not marked, or is neither there nor found.
    for (const { name } of LABELS) {
      if (!annotated.includes(name)) expect(scored[0]![name]).toBeNull();
    }
    expect(Object.values(scored[0]!).some((dice) => typeof dice === 'number')).toBe(annotated.length > 0);
    if (!['bhsd', 'instance22'].includes(kind)) return;
    // Without a score there is no best checkpoint; the last one is judged.
    const { classes, checkpoint } = await evaluateRun(join(folder, 'run'), { split: 'val' });
    expect(checkpoint).toBe(annotated.length === 0 ? 'last' : 'best');
    expect(classes.filter((type) => type.annotated)).toHaveLength(annotated.length);
  });
});
