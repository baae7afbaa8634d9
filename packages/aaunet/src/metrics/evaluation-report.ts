import { z } from 'zod';
import { assessmentSchema, jsonNumber, type Assessment } from './assessment.js';
import type { CountedScore, SegmentationScores } from './dice.js';

const score = jsonNumber;
const counted = z.strictObject({ dice: score, n: z.int().nonnegative() });

/** evaluation.json: the scores of one run on one part of the split, with the conventions under which they hold. */
export const evaluationSchema = z.strictObject({
  format: z.literal('aaunet-evaluation-1'),
  software: z.string(),
  model: z.string(),
  /** Which checkpoint was scored, such as "best". */
  checkpoint: z.string(),
  data: z.string(),
  split: z.enum(['train', 'val', 'test']),
  /** True where the data are phantoms: the scores say nothing about patients. */
  synthetic: z.boolean(),
  /** In-plane size in pixels at which truth and prediction were compared, or "source" for the files' own. */
  size: z.union([z.int().positive(), z.literal('source')]),
  /** Seconds an image that the evaluation took, reading included; null where not measured. */
  secondsPerImage: z.number().positive().nullable(),
  /** Score of both-empty: "nan" (left out) or "one". */
  empty: z.enum(['nan', 'one']),
  aggregations: z.strictObject({ pooled: z.string(), cases: z.string(), slices: z.string() }),
  caseCount: z.int().nonnegative(),
  sliceCount: z.int().nonnegative(),
  classes: z.array(
    z.strictObject({
      id: z.int(),
      name: z.string(),
      annotated: z.boolean(),
      pooled: counted.extend({ iou: score, precision: score, recall: score, predicted: z.int().nonnegative() }),
      cases: counted,
      slices: counted,
    }),
  ),
  mean: z.strictObject({ pooled: counted, cases: counted, slices: counted }),
  confusion: z.array(z.array(z.int().nonnegative())),
  /** Voxel counts of every case and type: what intervals over patients and paired tests are computed from. */
  perCase: z.array(
    z.strictObject({
      case: z.string(),
      patient: z.string(),
      slices: z.int().positive(),
      types: z.array(
        z.strictObject({
          id: z.int(),
          name: z.string(),
          truth: z.int().nonnegative(),
          predicted: z.int().nonnegative(),
          intersection: z.int().nonnegative(),
        }),
      ),
    }),
  ),
  /** Everything beyond Dice, with intervals; absent in files of versions that did not compute it. */
  assessment: assessmentSchema.optional(),
});

export type Evaluation = z.output<typeof evaluationSchema>;

/** What evaluation.json says beside the scores. */
export interface EvaluationContext extends Pick<
  Evaluation,
  'software' | 'model' | 'checkpoint' | 'data' | 'split' | 'synthetic' | 'size' | 'secondsPerImage'
> {
  /** Case to patient; a case that is not named is a patient of its own. */
  readonly patients?: Readonly<Record<string, string>> | undefined;
}

const AGGREGATIONS = {
  pooled: 'per class, voxels of all slices of the split pooled; n = true voxels',
  cases: 'per class, mean over cases where truth or prediction is non-empty; n = cases',
  slices: 'per class, mean over slices where the truth is non-empty; n = slices',
};

/** Puts scores and context together as evaluation.json holds them (NaN as null). */
export function toEvaluation(
  scores: SegmentationScores,
  { patients = {}, ...context }: EvaluationContext,
  assessment?: Assessment,
): Evaluation {
  return evaluationSchema.parse({
    format: 'aaunet-evaluation-1',
    ...context,
    aggregations:
      scores.empty === 'one'
        ? { ...AGGREGATIONS, cases: 'per class, mean over all cases, both-empty counts as 1; n = cases' }
        : AGGREGATIONS,
    ...scores,
    perCase: scores.perCase.map(({ case: name, ...counts }) => ({
      case: name,
      patient: patients[name] ?? name,
      ...counts,
    })),
    ...(assessment && { assessment }),
  });
}

function cell(value: number | null): string {
  return value === null || Number.isNaN(value) ? '–' : value.toFixed(3);
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** A Markdown table with its columns padded to equal width: readable on a terminal too. */
export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) =>
    Math.max(3, title.length, ...rows.map((cells) => (cells[column] ?? '').length)),
  );
  const pad = (cells: readonly string[]): string =>
    row(
      widths.map((width, column) =>
        column === 0 ? (cells[column] ?? '').padEnd(width) : (cells[column] ?? '').padStart(width),
      ),
    );
  const rule = row(widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)));
  return [pad(header), rule, ...rows.map(pad)].join('\n');
}

/** evaluation.json as a Markdown table with a caption that names the data, the part, the conventions and n. */
export function formatEvaluation(evaluation: Evaluation): string {
  const both = ({ dice, n }: { dice: number | null; n: number } | CountedScore): string[] => [cell(dice), String(n)];
  const rows = evaluation.classes.map(({ name, annotated, pooled, cases, slices }) =>
    annotated
      ? [
          name,
          ...both(pooled),
          cell(pooled.iou),
          cell(pooled.precision),
          cell(pooled.recall),
          ...both(cases),
          ...both(slices),
        ]
      : [name, 'not annotated', '0', '–', '–', '–', '–', '0', '–', '0'],
  );
  const { pooled, cases, slices } = evaluation.mean;
  rows.push(['mean over types', ...both(pooled), '–', '–', '–', ...both(cases), ...both(slices)]);
  const header = [
    'type',
    'pooled Dice',
    'voxels',
    'IoU',
    'precision',
    'recall',
    'case Dice',
    'cases',
    'slice Dice',
    'slices',
  ];
  const caption = [
    `${evaluation.model} (${evaluation.checkpoint}) on the ${evaluation.split} part of ${evaluation.data}:`,
    `${evaluation.caseCount} cases, ${evaluation.sliceCount} slices, both-empty counts as ${evaluation.empty === 'one' ? '1' : 'no score'}.`,
    ...(evaluation.synthetic ? ['Synthetic data: these scores say nothing about patients.'] : []),
  ].join(' ');
  return `${caption}\n\n${markdownTable(header, rows)}`;
}
