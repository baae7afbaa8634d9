import { LABELS } from '@aaunet/imaging';
import { z } from 'zod';

import { bootstrapIntervals, groupBy } from '../metrics/bootstrap.js';
import type { Evaluation } from '../metrics/evaluation-report.js';
import { isModelName, MODEL_NAMES } from '../models/registry.js';
import { readJson } from '../schema-errors.js';
import { SOFTWARE } from '../version.js';
import { annotatedTypes, checkComparable, type ComparedRun } from './compared-run.js';

/** A pooled Dice and its 95 % interval by bootstrap over patients; null where there is no score. */
export interface ComparedScore {
  readonly dice: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

export interface ComparedNetwork {
  readonly model: string;
  readonly run: string;
  /** By type, in the order of Table I. */
  readonly types: Readonly<Record<string, ComparedScore>>;
  readonly mean: ComparedScore;
  readonly parameters: number;
  readonly gflop: number;
  readonly steps: number;
  readonly trainSecondsPerImage: number | null;
  readonly inferSecondsPerImage: number | null;
  /** The paper's Dice by type and "mean", on its own private data; null where not given. */
  readonly paper: Readonly<Record<string, number>> | null;
}

/** Table I, ours: networks judged on the same patients. comparison.json is this object. */
export interface Comparison {
  readonly format: 'aaunet-comparison-1';
  readonly software: string;
  readonly data: string;
  readonly synthetic: boolean;
  readonly split: string;
  readonly size: number | 'source';
  readonly empty: 'nan' | 'one';
  readonly caseCount: number;
  readonly sliceCount: number;
  readonly types: readonly string[];
  /** In the order of the runs given. */
  readonly networks: readonly ComparedNetwork[];
}

/** What a file of figures may name. */
const COLUMNS: readonly string[] = [...LABELS.map(({ name }) => name), 'mean'];

/** Figures to stand beside ours, by network and type, Dice from 0 to 1: those of the paper, say. */
export const paperSchema = z
  .record(z.string(), z.record(z.string(), z.number().min(0).max(1)))
  .superRefine((figures, context) => {
    const refuse = (kind: string, unknown: readonly string[], known: readonly string[]): void => {
      if (unknown.length === 0) return;
      const message = `unknown ${kind} ${[...new Set(unknown)].join(', ')} (known: ${known.join(', ')})`;
      context.addIssue({ code: 'custom', message });
    };
    const columns = Object.values(figures).flatMap((ofNetwork) => Object.keys(ofNetwork));
    refuse(
      'hemorrhage type',
      columns.filter((name) => !COLUMNS.includes(name)),
      COLUMNS,
    );
    refuse(
      'network',
      Object.keys(figures).filter((name) => !isModelName(name)),
      MODEL_NAMES,
    );
  });
export type PaperFigures = z.output<typeof paperSchema>;

/** Puts runs side by side. @throws Error of one sentence if their scores were not computed on the same data. */
export function compareRuns(runs: readonly ComparedRun[], paper: PaperFigures = {}): Comparison {
  checkComparable(runs);
  const { data, synthetic, split, size, empty, caseCount, sliceCount } = runs[0]!.evaluation;
  const types = annotatedTypes(runs);
  return {
    format: 'aaunet-comparison-1',
    software: SOFTWARE,
    ...{ data, synthetic, split, size, empty, caseCount, sliceCount, types },
    networks: runs.map((run) => compareOne(run, types, paper)),
  };
}

function compareOne(run: ComparedRun, types: readonly string[], paper: PaperFigures): ComparedNetwork {
  const { evaluation, parameters, gflop, steps, trainSecondsPerImage } = run;
  const patients = groupBy(evaluation.perCase, ({ patient }) => patient);
  // The same draws of patients for every network: their intervals may be compared.
  const intervals = bootstrapIntervals(patients, (sample) => {
    const scores = types.map((type) => pooledDice(sample.flat(), type));
    return [...scores, mean(scores)];
  });
  const [ofMean, ...ofTypes] = [intervals.at(-1)!, ...intervals.slice(0, -1)].map(
    ({ value, low, high }): ComparedScore => ({ dice: orNull(value), low: orNull(low), high: orNull(high) }),
  );
  return {
    model: evaluation.model,
    run: run.run,
    types: Object.fromEntries(types.map((type, i) => [type, ofTypes[i]!])),
    mean: ofMean!,
    ...{ parameters, gflop, steps, trainSecondsPerImage },
    inferSecondsPerImage: evaluation.secondsPerImage,
    paper: paper[evaluation.model] ?? null,
  };
}

/** Dice of a type over the pooled voxels of cases; NaN where neither truth nor prediction has any. */
function pooledDice(cases: Evaluation['perCase'], type: string): number {
  let [both, sum] = [0, 0];
  for (const { types } of cases) {
    const counts = types.find(({ name }) => name === type);
    both += counts?.intersection ?? 0;
    sum += (counts?.truth ?? 0) + (counts?.predicted ?? 0);
  }
  return (2 * both) / sum;
}

function mean(scores: readonly number[]): number {
  const known = scores.filter((score) => !Number.isNaN(score));
  return known.reduce((sum, score) => sum + score, 0) / known.length;
}

function orNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}

/** Reads a file of figures to stand beside ours. @throws Error of one sentence if it is not as `paperSchema` says. */
export function readPaperFigures(path: string): Promise<PaperFigures> {
  return readJson(path, paperSchema);
}
