import { join } from 'node:path';

import type { LabelName } from '@aaunet/imaging';

import { truthOf } from '../metrics/compare-evaluations.js';
import { evaluationSchema, type Evaluation } from '../metrics/evaluation-report.js';
import { median } from '../metrics/median.js';
import { summarizeModel } from '../models/registry.js';
import { readJson } from '../schema-errors.js';
import { shellWords } from '../shell-words.js';
import { readMetrics } from '../training/metrics-log.js';
import { readRunConfig } from '../training/run-folder.js';

/** A trained and evaluated run, as a table of networks shows it. */
export interface ComparedRun {
  readonly run: string;
  readonly evaluation: Evaluation;
  readonly steps: number;
  readonly batch: number;
  readonly precision: string;
  readonly device: string;
  /** Median seconds an image of a training step, waiting for data included; null where no step was logged. */
  readonly trainSecondsPerImage: number | null;
  readonly parameters: number;
  /** Operations of one 512x512 image in units of 1e9, a multiplication and an addition counted as two. */
  readonly gflop: number;
}

/** Reads what a table needs of a run folder. @throws Error of one sentence if the run was not trained and evaluated. */
export async function readComparedRun(run: string): Promise<ComparedRun> {
  const config = await readRunConfig(run);
  const evaluation = await readJson(join(run, 'evaluation.json'), evaluationSchema).catch((error: unknown) => {
    throw new Error(
      `Expected ${run} to be evaluated; run first: ${shellWords(['aaunet', 'evaluate', run])} (${(error as Error).message})`,
      { cause: error },
    );
  });
  const steps = readMetrics(run).filter((metric) => metric.type === 'step');
  const { parameters, gflop } = summarizeModel(evaluation.model);
  return {
    run,
    evaluation,
    steps: steps.at(-1)?.step ?? 0,
    batch: config.batch,
    precision: config.precision,
    device: config.device,
    trainSecondsPerImage: median(steps.map(({ seconds }) => seconds / config.batch)) ?? null,
    parameters,
    gflop,
  };
}

/** What two runs must share for their scores to stand in one table. */
const SHARED = ['data', 'split', 'size', 'empty', 'caseCount', 'sliceCount'] as const satisfies (keyof Evaluation)[];

/** @throws Error of one sentence that names the first run whose scores do not compare with the first one's. */
export function checkComparable(runs: readonly ComparedRun[]): void {
  const [first] = runs;
  if (!first)
    throw new Error('Expected at least one run to make a table of; name the folders that "aaunet train" wrote.');
  for (const { run, evaluation } of runs) {
    const other = SHARED.find((key) => evaluation[key] !== first.evaluation[key]);
    if (other)
      throw new Error(
        `Expected runs evaluated on the same data, but "${other}" is ${String(evaluation[other])} in ${run} and ${String(first.evaluation[other])} in ${first.run}; evaluate both in the same way.`,
      );
    if (truthOf(evaluation) !== truthOf(first.evaluation))
      throw new Error(
        `Expected runs evaluated on the same cases and labels, but those of ${run} are not those of ${first.run}; evaluate both on one split of one data set.`,
      );
  }
}

/** Names of the types in the order of Table I. */
export function annotatedTypes(runs: readonly ComparedRun[]): LabelName[] {
  const [first] = runs;
  return (first?.evaluation.classes ?? []).filter(({ annotated }) => annotated).map(({ name }) => name as LabelName);
}
