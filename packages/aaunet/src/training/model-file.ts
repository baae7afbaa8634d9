import { join } from 'node:path';

import { LABEL_NUMBERS, LABELS, labelTableFault, SQUARE_FITS, type LabelName } from '@aaunet/imaging';
import { z } from 'zod';

import { writeJsonAtomic } from '../atomic.js';
import { readJson } from '../schema-errors.js';

const labelNames = LABELS.map(({ name }) => name) as [LabelName, ...LabelName[]];

/** model.json: what predicting needs to preprocess as in training, and what the weights can speak of. */
export const modelFileSchema = z.strictObject({
  format: z.literal('aaunet-model-1'),
  software: z.string(),
  model: z.string(),
  /** Written for other programs; the networks' classes are these and no others. */
  labels: z.record(z.string(), z.int()).superRefine((labels, context) => {
    const fault = labelTableFault(labels);
    if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
  }),
  /** Types that the training data mark. */
  annotated: z.array(z.enum(labelNames)),
  /** Types that they mark without naming them. */
  untyped: z.array(z.enum(labelNames)).default([]),
  window: z.strictObject({ center: z.number(), width: z.number().positive() }),
  /** In-plane size of the network's input in pixels. */
  size: z.int().min(32).max(4096).multipleOf(32),
  /** How slices that are not square came into that size; files of versions that could only stretch do not say so. */
  fit: z.enum(SQUARE_FITS).default('stretch'),
  /** Consecutive slices the network sees. */
  slices: z.literal(3),
  /** Median voxel size of the training scans in mm, from left to right, front to back and bottom to top. */
  spacing: z.tuple([z.number(), z.number(), z.number()]).optional(),
  /** What it was trained on; like the spacing absent in files of versions that did not write it. */
  trainingData: z.strictObject({ name: z.string(), cases: z.int(), patients: z.int() }).optional(),
  precision: z.enum(['bf16', 'fp32']),
  /** True where the training data are phantoms. */
  synthetic: z.boolean(),
  /** True where their HU were computed from pictures of a display window. */
  approximateHu: z.boolean().default(false),
});

export type ModelFile = z.output<typeof modelFileSchema>;

export function readModelFile(folder: string): Promise<ModelFile> {
  return readJson(join(folder, 'model.json'), modelFileSchema);
}

export async function writeModelFile(
  folder: string,
  model: Omit<ModelFile, 'format' | 'labels' | 'slices'>,
): Promise<void> {
  const fixed = { labels: LABEL_NUMBERS, slices: 3 };
  await writeJsonAtomic(join(folder, 'model.json'), { format: 'aaunet-model-1', ...model, ...fixed });
}
