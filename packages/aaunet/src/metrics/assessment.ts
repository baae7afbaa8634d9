import { LABELS, type LabelName } from '@aaunet/imaging';
import { z } from 'zod';

import { BOOTSTRAP_DEFAULTS, groupBy, type BootstrapOptions } from './bootstrap.js';
import { CALIBRATION_BINS, NEGLIGIBLE, type Calibration } from './calibration.js';
import { ANY, type CaseRecord } from './case-record.js';
import type { EmptyConvention } from './dice.js';
import { LESION_IOU } from './lesions.js';
import { overlapScores } from './overlap.js';
import { FIGURES, summariseType } from './summary.js';
import type { MissedConvention } from './surface.js';

/** A number of evaluation.json: NaN travels as null, which is what JSON can say. */
export const jsonNumber = z
  .union([z.number(), z.nan(), z.null()])
  .transform((value) => (value === null || !Number.isFinite(value) ? null : value))
  .pipe(z.number().nullable());

const count = z.int().nonnegative();
const estimate = z.strictObject({
  value: jsonNumber.describe('the figure; null where undefined'),
  low: jsonNumber.describe('lower end of its interval'),
  high: jsonNumber.describe('upper end of its interval'),
  n: count.describe('items behind it: voxels, cases, slices or lesions'),
});
const group = <F extends string>(figures: readonly F[]) =>
  z.strictObject(Object.fromEntries(figures.map((figure) => [figure, estimate])) as Record<F, typeof estimate>);
const calibration = z.strictObject({
  ece: jsonNumber.describe('expected calibration error'),
  n: count.describe('pixels'),
  bins: z.array(
    z.strictObject({
      low: z.number().describe('probabilities above this'),
      high: z.number().describe('and up to this'),
      n: count.describe('pixels in the bin'),
      confidence: jsonNumber.describe('mean probability given'),
      accuracy: jsonNumber.describe('part that came true'),
    }),
  ),
});

/** The part of evaluation.json that goes beyond Dice: every figure with its interval, and the rules under which it holds. */
export const assessmentSchema = z.strictObject({
  conventions: z
    .strictObject({
      bothEmpty: z
        .enum(['nan', 'one'])
        .describe('overlap and NSD where truth and prediction are both empty: left out, or 1 (and HD95 0)'),
      oneEmptyHd95: z
        .enum(['nan', 'diagonal'])
        .describe("HD95 where one of them is empty: left out, or the scan's diagonal; NSD and Dice are 0 there"),
      lesions: z.string().describe('what a lesion is, and when one is found'),
      detection: z.string().describe('when a case or slice counts as found, and what the AUC ranks by'),
      volumes: z.string().describe('how volumes are computed, and over which cases they are compared'),
      border: z.string().describe('what a border is, and what distances run between'),
      calibration: z.string().optional().describe('which pixels count; absent in files of earlier versions'),
    })
    .describe('the rules under which the figures hold'),
  intervals: z.strictObject({
    method: z.literal('percentile bootstrap over patients'),
    level: z.number().describe('part of the resampled values inside an interval'),
    resamples: count,
    seed: z.int(),
    patients: count,
  }),
  types: z
    .array(
      z.strictObject({
        id: z.int().describe('label number; 0 for all together'),
        name: z.string(),
        pooled: group(FIGURES.pooled).describe('all voxels of the part pooled'),
        cases: group(FIGURES.cases).describe('means over cases; surface figures in mm'),
        slices: group(FIGURES.slices).describe('means over slices where the truth is non-empty'),
        lesions: group(FIGURES.lesions).describe('of all lesions together'),
        caseDetection: group(FIGURES.caseDetection).describe('yes or no of cases'),
        sliceDetection: group(FIGURES.sliceDetection).describe('yes or no of slices'),
        volume: group(FIGURES.volume).describe('mL'),
        calibration: calibration.describe('one type against the rest'),
      }),
    )
    .describe('the annotated types in the order of their numbers, then all of them together ("any")'),
  calibration: z
    .strictObject({
      pixels: calibration.describe('all pixels'),
      lesions: calibration.describe('pixels where truth or prediction is a lesion'),
    })
    .describe("of the likeliest label's probability"),
  lesionConfusion: z
    .array(z.array(count))
    .describe('[truth][prediction]: true lesions by the type that they were mostly given, 0 where missed'),
  cases: z
    .array(
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
    )
    .describe('every case by every type'),
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
      calibration: `the network's own pixels, ${CALIBRATION_BINS} equal bins; of a type where it is there or its probability is at least ${NEGLIGIBLE}`,
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
        dice: overlapScores({ truth, predicted, intersection }, empty).dice,
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
