import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { memoryStats } from '@aaunet/torch';
import { decode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { evaluateRun } from '../evaluation/evaluate.js';
import { writeTinyDataset } from '../testing/tiny-dataset.js';
import { resolveTrainConfig } from '../training/config.js';
import { readMetrics } from '../training/metrics-log.js';
import { chooseFigureSlices, reproduce, type ReproduceEvent } from './reproduce.js';

const TIMEOUT = 300_000;
const MODELS = ['resnet18-unet', 'densenet121-unet'];

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-reproduce-'));
  await writeTinyDataset(join(folder, 'data'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const configOf = (over = {}): ReturnType<typeof resolveTrainConfig> =>
  resolveTrainConfig({
    ...{ data: join(folder, 'data'), size: 64, batch: 2, epochs: 1, stepsPerEpoch: 3, precision: 'fp32' },
    ...over,
  });

const losses = (run: string): number[] =>
  readMetrics(run).flatMap((metric) => (metric.type === 'step' ? [metric.loss] : []));

describe('reproduce', () => {
  it(
    'loses nothing where it is stopped half way and called again, and writes tables and figure',
    async () => {
      const out = join(folder, 'stopped');
      const controller = new AbortController();
      const stop = (event: ReproduceEvent): void => {
        if (event.type === 'train' && event.model === MODELS[1] && event.event.type === 'step') controller.abort();
      };
      const half = await reproduce(configOf(), { out, models: MODELS, onEvent: stop, signal: controller.signal });
      expect(half).toMatchObject({ interrupted: true, failed: [] });
      expect(half.comparison!.networks.map(({ model }) => model)).toEqual([MODELS[0]]);
      const evaluated = readFileSync(join(out, MODELS[0]!, 'evaluation.json'), 'utf8');

      const whole = await reproduce(configOf(), { out, models: MODELS });
      expect(whole).toMatchObject({ interrupted: false, failed: [] });
      expect(whole.comparison!.networks.map(({ model, steps }) => [model, steps])).toEqual([
        [MODELS[0], 3],
        [MODELS[1], 3],
      ]);
      // What was done was not done again, and what was begun went on: as in a comparison that nobody stopped.
      expect(readFileSync(join(out, MODELS[0]!, 'evaluation.json'), 'utf8')).toBe(evaluated);
      const never = await reproduce(configOf(), { out: join(folder, 'never'), models: MODELS });
      expect(losses(join(out, MODELS[1]!))).toEqual(losses(join(folder, 'never', MODELS[1]!)));
      expect(whole.comparison!.networks.map(({ types }) => types)).toEqual(
        never.comparison!.networks.map(({ types }) => types),
      );

      for (const name of ['table.md', 'table.csv', 'table.tex', 'comparison.json'])
        expect(readFileSync(join(out, name), 'utf8')).toContain(MODELS[1]);
      const { width, height } = decode(readFileSync(join(out, 'figure.png')));
      expect(width).toBeGreaterThan(4 * 160);
      expect(height).toBeGreaterThan(7 * 160);
      expect(memoryStats().tensors).toBe(0);
    },
    TIMEOUT,
  );

  it(
    'evaluates a network again whose evaluation is of another part of the split or counts empty masks in another way',
    async () => {
      const out = join(folder, 'evaluated');
      const before = (await reproduce(configOf(), { out, models: MODELS })).comparison!;
      for (const over of [{ split: 'val' }, { empty: 'one' }] as const) {
        await evaluateRun(join(out, MODELS[0]!), over);
        const { comparison, failed } = await reproduce(configOf(), { out, models: MODELS });
        expect(failed).toEqual([]);
        expect(comparison).toMatchObject({ split: 'test', empty: 'nan' });
        expect(comparison!.networks.map(({ types }) => types)).toEqual(before.networks.map(({ types }) => types));
      }
    },
    TIMEOUT,
  );

  it(
    'goes on with the other networks where one fails, and tries it again when called again',
    async () => {
      const out = join(folder, 'failing');
      // A file where the first network's run folder should be.
      await reproduce(configOf(), { out, models: [] });
      writeFileSync(join(out, MODELS[0]!), '');
      const result = await reproduce(configOf(), { out, models: MODELS });
      expect(result.failed.map(({ model }) => model)).toEqual([MODELS[0]]);
      expect(result.comparison!.networks.map(({ model }) => model)).toEqual([MODELS[1]]);
      rmSync(join(out, MODELS[0]!));
      expect((await reproduce(configOf(), { out, models: MODELS })).failed).toEqual([]);
    },
    TIMEOUT,
  );

  it('refuses an unknown network or data set before it writes anything, and another budget in the same folder', async () => {
    const out = join(folder, 'refused');
    await expect(reproduce(configOf(), { out, models: ['rsu', 'nonet'] })).rejects.toThrow(
      /There is no network 'nonet'/,
    );
    await expect(reproduce(configOf({ data: join(folder, 'nosuch') }), { out })).rejects.toThrow(/nosuch/);
    expect(existsSync(out)).toBe(false);
    await reproduce(configOf(), { out, models: [] });
    await expect(reproduce(configOf({ batch: 1 }), { out, models: [] })).rejects.toThrow(
      /begun with --batch 2 \(asked: 1\); continue it without/,
    );
  });
});

describe('chooseFigureSlices', () => {
  it('takes the slice with most of each type, and leaves out types that do not occur', () => {
    const slice = (ich: number, sdh: number): number[] => [0, ich, sdh, 0, 0, 0, 0, 0];
    const cases = [
      { name: 'a', counts: [slice(1, 0), slice(5, 2)] },
      { name: 'b', counts: [slice(0, 9)] },
    ];
    expect(chooseFigureSlices(cases)).toEqual([
      { case: 'a', slice: 1, title: 'ICH' },
      { case: 'b', slice: 0, title: 'SDH' },
    ]);
  });
});
