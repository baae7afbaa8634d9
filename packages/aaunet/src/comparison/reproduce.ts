import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { CLASS_COUNT, LABELS } from '@aaunet/imaging';
import { setImmediate } from 'node:timers/promises';

import { writeFileAtomic, writeJsonAtomic } from '../atomic.js';
import { readDataset } from '../datasets/dataset.js';
import { loadBatches } from '../datasets/loader.js';
import type { SliceRef } from '../datasets/sampler.js';
import type { CachedCase } from '../datasets/slice-cache.js';
import { evaluateRun, loadRunNetwork } from '../evaluation/evaluate.js';
import { segmentSlices } from '../inference/segment.js';
import { evaluationSchema } from '../metrics/evaluation-report.js';
import { checkedModelName, TABLE_I } from '../models/registry.js';
import { readJson } from '../schema-errors.js';
import { describeChanges, type TrainConfig } from '../training/config.js';
import { checkDevice } from '../training/device.js';
import { withRunData } from '../training/run-data.js';
import { readRunConfig } from '../training/run-folder.js';
import type { TrainEvent } from '../training/events.js';
import { train } from '../training/train.js';
import { readComparedRun, type ComparedRun } from './compared-run.js';
import { compareRuns, type Comparison, type PaperFigures } from './comparison.js';
import { renderFigure, type FigureSlice } from './figure.js';
import { formatComparison, TABLE_FORMATS, type TableFormat } from './format.js';

export interface ReproduceOptions {
  /** Folder of the comparison: a run folder for each network, the tables and the figure. */
  readonly out: string;
  /** Networks to compare; default Table I's nine. */
  readonly models?: readonly string[] | undefined;
  /** Figures to stand beside ours. */
  readonly paper?: PaperFigures | undefined;
  readonly onEvent?: ((event: ReproduceEvent) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What happens during a comparison, in order of occurrence. */
export type ReproduceEvent =
  | {
      readonly type: 'network';
      readonly model: string;
      readonly index: number;
      readonly total: number;
      readonly done: boolean;
    }
  | { readonly type: 'train'; readonly model: string; readonly event: TrainEvent }
  | { readonly type: 'evaluate'; readonly model: string; readonly done: number; readonly total: number }
  | { readonly type: 'failed'; readonly model: string; readonly message: string };

export interface ReproduceResult {
  /** Undefined where no network has been finished. */
  readonly comparison: Comparison | undefined;
  /** Networks that could not be trained or evaluated, with the reason. */
  readonly failed: readonly { readonly model: string; readonly message: string }[];
  /** True where `signal` ended it early; the same call continues. */
  readonly interrupted: boolean;
}

const FILE_OF: Readonly<Record<TableFormat, string>> = {
  md: 'table.md',
  csv: 'table.csv',
  latex: 'table.tex',
  json: 'comparison.json',
};

/** How every network of a comparison is evaluated. */
const EVALUATED = { split: 'test', empty: 'nan' } as const;

/**
 * Trains and evaluates networks with the same splits, seed and budget, and writes Table I of Chang et al. 2022 anew:
 * OUT/<network>/ (run folders), OUT/table.{md,csv,tex}, comparison.json and figure.png. Called again, it continues where it
 * stopped; a network that fails does not stop the others.
 *
 * @param config the budget that all share; its `model` is not looked at.
 * @throws Error of one sentence for an unknown network, or if OUT holds a comparison with another configuration.
 */
export async function reproduce(config: TrainConfig, options: ReproduceOptions): Promise<ReproduceResult> {
  const { out, models = TABLE_I, paper, signal } = options;
  const emit = options.onEvent ?? (() => undefined);
  const stopped = (): boolean => signal?.aborted === true;
  for (const model of models) checkedModelName(model);
  checkDevice(config.device);
  await readDataset(config.data);
  await keepConfig(out, config);
  const failed: { model: string; message: string }[] = [];
  const finished: ComparedRun[] = [];
  let comparison: Comparison | undefined;
  for (const [index, model] of models.entries()) {
    if (stopped()) break;
    const run = join(out, model);
    const done = await isEvaluated(run);
    emit({ type: 'network', model, index, total: models.length, done });
    try {
      if (!done) {
        const onEvent = (event: TrainEvent): void => {
          emit({ type: 'train', model, event });
        };
        const { interrupted } = await train(
          { ...config, model },
          { run, fallback: out, resume: true, onEvent, signal },
        );
        if (interrupted) break;
        const onProgress = (count: number, total: number): void => {
          emit({ type: 'evaluate', model, done: count, total });
        };
        const onWarning = (text: string): void => {
          emit({ type: 'train', model, event: { type: 'message', text: `warning: ${text}` } });
        };
        await evaluateRun(run, { ...EVALUATED, fallback: out, onProgress, onWarning, signal });
      }
      finished.push(await readComparedRun(run));
      // Also half way: who looks in sees what there is.
      comparison = await writeComparison(out, finished, paper);
    } catch (error) {
      if (stopped()) break;
      const message = error instanceof Error ? error.message : String(error);
      failed.push({ model, message });
      emit({ type: 'failed', model, message });
    }
  }
  if (comparison && !stopped())
    await writeFigure(
      out,
      config,
      comparison.networks.map(({ model }) => model),
    );
  return { comparison, failed, interrupted: stopped() };
}

/** Whether a run holds the evaluation that the comparison needs: "aaunet evaluate" may have left one of another kind. */
async function isEvaluated(run: string): Promise<boolean> {
  const evaluation = await readJson(join(run, 'evaluation.json'), evaluationSchema).catch(() => undefined);
  return evaluation?.split === EVALUATED.split && evaluation.empty === EVALUATED.empty && evaluation.size === 'source';
}

/** OUT/config.json holds the budget; whoever continues must mean the same. */
async function keepConfig(out: string, config: TrainConfig): Promise<void> {
  const path = join(out, 'config.json');
  if (!existsSync(path)) {
    await writeJsonAtomic(path, config);
    return;
  }
  const before = await readRunConfig(out);
  const changed = describeChanges(before, config, ['model', 'data', 'device', 'threads']);
  if (changed.length > 0)
    throw new Error(
      `${out} was begun with ${changed.join(', ')}; continue it without these options, or name another folder.`,
    );
}

async function writeComparison(
  out: string,
  runs: readonly ComparedRun[],
  paper: PaperFigures | undefined,
): Promise<Comparison> {
  const comparison = compareRuns(runs, paper);
  for (const format of TABLE_FORMATS)
    await writeFileAtomic(join(out, FILE_OF[format]), `${formatComparison(comparison, format)}\n`);
  return comparison;
}

/** For each type that occurs the slice of the cases with most of its pixels. */
export function chooseFigureSlices(cases: readonly CachedCase[]): (SliceRef & { readonly title: string })[] {
  const all = cases.flatMap(({ name, counts }) => counts.map((pixels, slice) => ({ case: name, slice, pixels })));
  return LABELS.flatMap(({ id, name }) => {
    const most = all.reduce((best, slice) => (slice.pixels[id]! > best.pixels[id]! ? slice : best), {
      ...{ case: '', slice: 0 },
      pixels: new Array<number>(CLASS_COUNT).fill(0),
    });
    return most.pixels[id]! > 0 ? [{ case: most.case, slice: most.slice, title: name }] : [];
  });
}

async function writeFigure(out: string, config: TrainConfig, models: readonly string[]): Promise<void> {
  await withRunData(join(out, models[0]!), config, { fallback: out }, async ({ cache, splits }) => {
    const chosen = chooseFigureSlices(cache.cases.filter(({ name }) => splits.test.includes(name)));
    const pixels = config.size ** 2;
    for await (using batch of loadBatches(cache, [chosen])) {
      const [hu, truth] = [batch.hu.data('int16'), batch.labels.data('uint8')];
      const slices: FigureSlice[] = chosen.map(({ title }, i) => ({
        title,
        hu: hu.slice((3 * i + 1) * pixels, (3 * i + 2) * pixels),
        truth: truth.slice(i * pixels, (i + 1) * pixels),
      }));
      const columns = [];
      for (const model of models) {
        const run = join(out, model);
        using network = loadRunNetwork(run, { ...config, model });
        using labels = segmentSlices(network, batch.hu, config);
        const data = labels.data('uint8');
        columns.push({ title: model, labels: slices.map((_, i) => data.slice(i * pixels, (i + 1) * pixels)) });
        await setImmediate();
      }
      await writeFileAtomic(join(out, 'figure.png'), renderFigure(slices, columns, config.size));
    }
  });
}
