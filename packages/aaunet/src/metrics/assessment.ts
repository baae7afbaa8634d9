import { LABELS, type LabelName } from '@aaunet/imaging';
import { z } from 'zod';

import { BOOTSTRAP_DEFAULTS, groupBy, type BootstrapOptions } from './bootstrap.js';
import type { Calibration } from './calibration.js';
import { ANY, type CaseRecord } from './case-record.js';
import type { EmptyConvention } from './dice.js';
import { LESION_IOU } from './lesions.js';
import { FIGURES, summariseType } from './summary.js';
import type { MissedConvention } from './surface.js';

/** A number of evaluation.json: NaN travels as null, which is what JSON can say. */
export const jsonNumber = z
  .union([z.number(), z.nan(), z.null()])
  .transform((value) => (value === null || !Number.isFinite(value) ? null : value));

const count = z.int().nonnegative();
const estimate = z.strictObject({ value: jsonNumber, low: jsonNumber, high: jsonNumber, n: count });
const group = <F extends string>(figures: readonly F[]) =>
  z.strictObject(Object.fromEntries(figures.map((figure) => [figure, estimate])) as Record<F, typeof estimate>);
const calibration = z.strictObject({
  ece: jsonNumber,
  n: count,
  bins: z.array(
    z.strictObject({ low: z.number(), high: z.number(), n: count, confidence: jsonNumber, accuracy: jsonNumber }),
  ),
});

/** The part of evaluation.json that goes beyond Dice: every figure with its interval, and the rules under which it holds. */
export const assessmentSchema = z.strictObject({
  conventions: z.strictObject({
    /** Overlap and NSD where truth and prediction are both empty: left out, or 1 (and HD95 0). */
    bothEmpty: z.enum(['nan', 'one']),
    /** HD95 where one of them is empty: left out, or the scan's diagonal. NSD and Dice are 0 there. */
    oneEmptyHd95: z.enum(['nan', 'diagonal']),
    lesions: z.string(),
    detection: z.string(),
    volumes: z.string(),
    border: z.string(),
  }),
  intervals: z.strictObject({
    method: z.literal('percentile bootstrap over patients'),
    level: z.number(),
    resamples: count,
    seed: z.int(),
    patients: count,
  }),
  /** The annotated types in the order of their numbers, then all of them together (id 0, "any"). */
  types: z.array(
    z.strictObject({
      id: z.int(),
      name: z.string(),
      pooled: group(FIGURES.pooled),
      cases: group(FIGURES.cases),
      slices: group(FIGURES.slices),
      lesions: group(FIGURES.lesions),
      caseDetection: group(FIGURES.caseDetection),
      sliceDetection: group(FIGURES.sliceDetection),
      volume: group(FIGURES.volume),
      /** One type against the rest, over the pixels where its probability or truth is not negligible. */
      calibration,
    }),
  ),
  /** Of the likeliest label's probability: in all pixels, and where truth or prediction is a lesion. */
  calibration: z.strictObject({ pixels: calibration, lesions: calibration }),
  /** True lesions by the type that they were mostly given, 0 where missed: `lesionConfusion[truth][prediction]`. */
  lesionConfusion: z.array(z.array(count)),
  /** Every case by every type. */
  cases: z.array(
    z.strictObject({
      case: z.string(),
      patient: z.string(),
      types: z.array(
        z.strictObject({
          id: z.int(),
          name: z.string(),
          dice: jsonNumber,
          truthMl: z.number(),
          predictedMl: z.number(),
          nsd1mm: jsonNumber,
          nsd2mm: jsonNumber,
          hd95Mm: jsonNumber,
          lesions: z.strictObject({ truth: count, predicted: count, matched: count }),
        }),
      ),
    }),
  ),
});

export type Assessment = z.output<typeof assessmentSchema>;

/** What an assessment is put together from. */
export interface AssessmentInput {
  readonly cases: readonly CaseRecord[];
  readonly annotated: readonly LabelName[];
  readonly empty: EmptyConvention;
  readonly missed: MissedConvention;
  readonly lesionConfusion: readonly (readonly number[])[];
  readonly calibration: {
    readonly pixels: Calibration;
    readonly lesions: Calibration;
    /** By label number; index 0 is any lesion against background. */
    readonly types: readonly Calibration[];
  };
  readonly bootstrap?: BootstrapOptions | undefined;
}

function diceOf(truth: number, predicted: number, intersection: number, empty: EmptyConvention): number {
  if (truth + predicted === 0) return empty === 'one' ? 1 : NaN;
  return (2 * intersection) / (truth + predicted);
}

/** Summarises the cases of a split into what evaluation.json says under `assessment`. */
export function assess(input: AssessmentInput): Assessment {
  const { cases, annotated, empty, missed } = input;
  const { level, resamples, seed } = { ...BOOTSTRAP_DEFAULTS, ...input.bootstrap };
  const types = [...LABELS.filter(({ name }) => annotated.includes(name)), { id: 0, name: ANY }];
  return assessmentSchema.parse({
    conventions: {
      bothEmpty: empty,
      oneEmptyHd95: missed,
      lesions: `connected components with 26 neighbours, matched one to one by falling IoU of at least ${LESION_IOU}`,
      detection: 'predicted where any voxel is; AUC by the largest probability in the case or slice',
      volumes: 'voxels times their true extents, over cases where truth or prediction is non-empty',
      border: 'voxels with a face neighbour outside; distances between centres at their true places',
    },
    intervals: {
      method: 'percentile bootstrap over patients',
      level,
      resamples,
      seed,
      patients: groupBy(cases, ({ patient }) => patient).length,
    },
    types: types.map(({ id, name }) => ({
      id,
      name,
      ...summariseType(cases, id, empty, { level, resamples, seed }),
      calibration: input.calibration.types[id],
    })),
    calibration: { pixels: input.calibration.pixels, lesions: input.calibration.lesions },
    lesionConfusion: input.lesionConfusion,
    cases: cases.map((record) => ({
      case: record.case,
      patient: record.patient,
      types: record.types.map(({ id, name, truth, predicted, intersection, ...rest }) => ({
        id,
        name,
        dice: diceOf(truth, predicted, intersection, empty),
        truthMl: rest.truthMl,
        predictedMl: rest.predictedMl,
        nsd1mm: rest.nsd1mm,
        nsd2mm: rest.nsd2mm,
        hd95Mm: rest.hd95Mm,
        lesions: rest.lesions,
      })),
    })),
  });
}
