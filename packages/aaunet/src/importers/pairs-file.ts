import { LABELS, type LabelName } from '@aaunet/imaging';
import { z } from 'zod';

import { UNKNOWN_NAME } from '../datasets/annotation.js';

const labelNames = LABELS.map(({ name }) => name) as [LabelName, ...LabelName[]];

/** A path below the folder of the file, in either system's writing; anything that leads out of it is refused. */
const pathSchema = z
  .string()
  .min(1)
  .max(1000)
  .refine(
    (path) => !/^([\\/]|[A-Za-z]:)/.test(path) && !path.includes('\0') && !path.split(/[\\/]/).includes('..'),
    'expected a path below the folder of this file, without ".."',
  );

const pairSchema = z.strictObject({
  /** A NIfTI file or a folder with a DICOM series. */
  image: pathSchema,
  /** A NIfTI file or a DICOM SEG object. */
  mask: pathSchema,
  /** Name of the case; from the image's name where absent. */
  case: z.string().min(1).max(100).optional(),
  /** Who was scanned; the case's name where absent. */
  patient: z.string().min(1).max(120).optional(),
  /** Series Instance UID (`UID#2` for a second stack under it), where the folder has several. */
  series: z.string().max(72).optional(),
});

/** pairs.json: any images and masks, and what the masks' values mean. */
export const pairsSchema = z.strictObject({
  name: z.string().min(1).max(200),
  /** Value of a mask, or of a DICOM SEG the number or the label of a segment, to a type, "ignore" or "background". */
  labels: z.record(z.string().min(1), z.enum([...labelNames, UNKNOWN_NAME, 'background'])),
  /** Types that are marked wherever they are; those in "labels" where absent. */
  annotated: z.array(z.enum(labelNames)).optional(),
  /** What "ignore" may be; anything where absent. */
  untyped: z.array(z.enum(labelNames)).optional(),
  /** HU = value * slope + intercept, for NIfTI images that were stored without it; DICOM says its own. */
  hu: z.strictObject({ slope: z.number().default(1), intercept: z.number().default(0) }).optional(),
  /** True for phantoms. */
  synthetic: z.boolean().optional(),
  pairs: z.array(pairSchema).max(100_000).default([]),
  /** Instead of a list: paths with {case} where the names differ, one file or folder of images each. */
  match: z.strictObject({ image: pathSchema, mask: pathSchema }).optional(),
});

export type PairsFile = z.output<typeof pairsSchema>;
export type Pair = z.output<typeof pairSchema>;
