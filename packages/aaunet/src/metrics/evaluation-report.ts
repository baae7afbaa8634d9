import { z } from 'zod';
import { assessmentSchema, jsonNumber, type Assessment } from './assessment.js';
import type { CountedScore, SegmentationScores } from './dice.js';

const score = jsonNumber;
const count = z.int().nonnegative();
const counted = z.strictObject({ dice: score, n: count.describe('items behind it, see `aggregations`') });

/** evaluation.json: the scores of one run on one part of the split, with the conventions under which they hold. */
export const evaluationSchema = z.strictObject({
  format: z.literal('aaunet-evaluation-1'),
  software: z.string().describe('program and version'),
  model: z.string().describe('name of the network'),
  checkpoint: z.string().describe('which checkpoint was scored, such as "best"'),
  data: z.string().describe('name of the data set'),
  split: z.enum(['train', 'val', 'test']),
  synthetic: z.boolean().describe('true where the data are phantoms: the scores say nothing about patients'),
  size: z
    .union([z.literal('source'), z.int().positive()])
    .describe(
      'where truth and prediction were compared: "source", the files\' own voxels; in files of earlier versions an in-plane size in pixels',
    ),
  inputSize: z.int().positive().optional().describe("in-plane size in pixels of the network's input"),
  secondsPerImage: z.number().positive().nullable().describe('of the network alone; null where not measured'),
  empty: z.enum(['nan', 'one']).describe('Dice where truth and prediction are both empty: left out, or 1'),
  aggregations: z
    .strictObject({ pooled: z.string(), cases: z.string(), slices: z.string() })
    .describe('what the three means are, and what their n counts'),
  caseCount: count,
  sliceCount: count,
  classes: z
    .array(
      z.strictObject({
        id: z.int(),
        name: z.string(),
        annotated: z.boolean().describe('false where the data set does not mark the type: then it has no score'),
        pooled: counted.extend({ iou: score, precision: score, recall: score, predicted: count.describe('voxels') }),
        cases: counted,
        slices: counted,
      }),
    )
    .describe('the seven types in the order of their numbers'),
  mean: z
    .strictObject({ pooled: counted, cases: counted, slices: counted })
    .describe('means over the types that have a score; n counts these'),
  confusion: z.array(z.array(count)).describe('[truth][prediction], voxels, background first'),
  perCase: z
    .array(
      z.strictObject({
        case: z.string(),
        patient: z.string(),
        slices: z.int().positive(),
        types: z.array(
          z.strictObject({ id: z.int(), name: z.string(), truth: count, predicted: count, intersection: count }),
        ),
      }),
    )
    .describe('voxel counts of every case and type, from which Dice, its intervals and paired tests can be computed'),
  assessment: assessmentSchema
    .optional()
    .describe('everything beyond Dice, with intervals; absent in files of versions that did not compute it'),
});

export type Evaluation = z.output<typeof evaluationSchema>;

/** What evaluation.json says beside the scores. */
export interface EvaluationContext extends Pick<
  Evaluation,
  'software' | 'model' | 'checkpoint' | 'data' | 'split' | 'synthetic' | 'size' | 'inputSize' | 'secondsPerImage'
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
