import { bootstrapIntervals, groupBy, type BootstrapOptions } from './bootstrap.js';
import { volumeAgreement } from './agreement.js';
import type { CaseRecord, SliceRecord, TypeRecord } from './case-record.js';
import { aucOf, detectionScores } from './detection.js';
import type { EmptyConvention } from './dice.js';
import { lesionScores } from './lesions.js';
import { overlapScores, sumOverlaps } from './overlap.js';

/** A figure, its 95 % interval over patients, and the number of items that it was computed from. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly n: number;
}

/** Figures of one type by group and name: `overlap.pooledDice` and so on, see `FIGURES`. */
export type FigureGroup = keyof typeof FIGURES;
export type TypeSummary = {
  readonly [G in FigureGroup]: Readonly<Record<(typeof FIGURES)[G][number], Estimate>>;
};

/** Every figure of a type, in groups. */
export const FIGURES = {
  pooled: ['dice', 'iou', 'precision', 'recall'],
  cases: ['dice', 'iou', 'precision', 'recall', 'nsd1mm', 'nsd2mm', 'hd95Mm'],
  slices: ['dice', 'iou', 'precision', 'recall'],
  lesions: ['precision', 'recall', 'f1'],
  caseDetection: ['sensitivity', 'specificity', 'auc'],
  sliceDetection: ['sensitivity', 'specificity', 'auc'],
  volume: ['absoluteErrorMl', 'relativeError', 'biasMl', 'lowerLimitMl', 'upperLimitMl', 'concordance'],
} as const;

/** Mean and number of the values that are numbers. */
function meanOf(values: readonly number[]): [mean: number, n: number] {
  const known = values.filter((value) => !Number.isNaN(value));
  return [known.reduce((sum, value) => sum + value, 0) / known.length, known.length];
}

/** The surest voxel of a case or slice where probabilities are known, else how much was predicted. */
function scoreOf(slices: readonly SliceRecord[]): number {
  const surest = Math.max(...slices.map(({ probability }) => probability));
  return Number.isNaN(surest) ? slices.reduce((sum, { predicted }) => sum + predicted, 0) : surest;
}

type Figure = readonly [value: number, n: number];

function detectionFigures(
  items: readonly { isPositive: boolean; isPredicted: boolean; score: number }[],
): Record<'sensitivity' | 'specificity' | 'auc', Figure> {
  const { sensitivity, specificity } = detectionScores(items);
  const positives = items.filter(({ isPositive }) => isPositive).length;
  return {
    sensitivity: [sensitivity, positives],
    specificity: [specificity, items.length - positives],
    auc: [aucOf(items), items.length],
  };
}

function figuresOf(
  records: readonly TypeRecord[],
  empty: EmptyConvention,
): Record<FigureGroup, Record<string, Figure>> {
  const pooled = sumOverlaps(records);
  const pooledScores = overlapScores(pooled, empty);
  const ofCases = records.map((record) => overlapScores(record, empty));
  const positiveSlices = records.flatMap(({ perSlice }) => perSlice.filter(({ truth }) => truth > 0));
  const ofSlices = positiveSlices.map((slice) => overlapScores(slice, empty));
  const lesions = {
    truth: records.reduce((sum, record) => sum + record.lesions.truth, 0),
    predicted: records.reduce((sum, record) => sum + record.lesions.predicted, 0),
    matched: records.reduce((sum, record) => sum + record.lesions.matched, 0),
  };
  const ofLesions = lesionScores(lesions);
  // Cases without a drop in either would count as perfect agreement of a type that they do not have.
  const volume = volumeAgreement(
    records
      .filter(({ truth, predicted }) => truth + predicted > 0)
      .map(({ truthMl, predictedMl }) => ({ truth: truthMl, predicted: predictedMl })),
  );
  const bleeding = records.filter(({ truth }) => truth > 0).length;
  return {
    pooled: {
      dice: [pooledScores.dice, pooled.truth],
      iou: [pooledScores.iou, pooled.truth],
      precision: [pooledScores.precision, pooled.predicted],
      recall: [pooledScores.recall, pooled.truth],
    },
    cases: {
      dice: meanOf(ofCases.map(({ dice }) => dice)),
      iou: meanOf(ofCases.map(({ iou }) => iou)),
      precision: meanOf(ofCases.map(({ precision }) => precision)),
      recall: meanOf(ofCases.map(({ recall }) => recall)),
      nsd1mm: meanOf(records.map(({ nsd1mm }) => nsd1mm)),
      nsd2mm: meanOf(records.map(({ nsd2mm }) => nsd2mm)),
      hd95Mm: meanOf(records.map(({ hd95Mm }) => hd95Mm)),
    },
    slices: {
      dice: meanOf(ofSlices.map(({ dice }) => dice)),
      iou: meanOf(ofSlices.map(({ iou }) => iou)),
      precision: meanOf(ofSlices.map(({ precision }) => precision)),
      recall: meanOf(ofSlices.map(({ recall }) => recall)),
    },
    lesions: {
      precision: [ofLesions.precision, lesions.predicted],
      recall: [ofLesions.recall, lesions.truth],
      f1: [ofLesions.f1, lesions.truth + lesions.predicted],
    },
    caseDetection: detectionFigures(
      records.map(({ truth, predicted, perSlice }) => ({
        isPositive: truth > 0,
        isPredicted: predicted > 0,
        score: scoreOf(perSlice),
      })),
    ),
    sliceDetection: detectionFigures(
      records.flatMap(({ perSlice }) =>
        perSlice.map((slice) => ({
          isPositive: slice.truth > 0,
          isPredicted: slice.predicted > 0,
          score: scoreOf([slice]),
        })),
      ),
    ),
    volume: {
      absoluteErrorMl: [volume.absoluteError, volume.n],
      relativeError: [volume.relativeError, bleeding],
      biasMl: [volume.bias, volume.n],
      lowerLimitMl: [volume.lowerLimit, volume.n],
      upperLimitMl: [volume.upperLimit, volume.n],
      concordance: [volume.concordance, volume.n],
    },
  };
}

/**
 * All figures of one type over its cases, each with its interval by bootstrap over patients.
 *
 * @param cases every case, of which the type numbered `id` (0: all together) is summarised.
 */
export function summariseType(
  cases: readonly CaseRecord[],
  id: number,
  empty: EmptyConvention,
  options: BootstrapOptions = {},
): TypeSummary {
  const patients = groupBy(cases, ({ patient }) => patient).map((group) =>
    group.flatMap(({ types }) => types.filter((type) => type.id === id)),
  );
  const groups = Object.keys(FIGURES) as FigureGroup[];
  const names = groups.flatMap((group) => FIGURES[group].map((figure) => [group, figure] as const));
  const whole = figuresOf(patients.flat(), empty);
  const intervals = bootstrapIntervals(
    patients,
    (sample) => {
      const figures = figuresOf(sample.flat(), empty);
      return names.map(([group, figure]) => figures[group][figure]![0]);
    },
    options,
  );
  const estimates = names.map(([group, figure], index): [FigureGroup, string, Estimate] => [
    group,
    figure,
    { ...intervals[index]!, n: whole[group][figure]![1] },
  ]);
  return Object.fromEntries(
    groups.map((group) => [
      group,
      Object.fromEntries(
        estimates.filter(([ofGroup]) => ofGroup === group).map(([, figure, estimate]) => [figure, estimate]),
      ),
    ]),
  ) as unknown as TypeSummary;
}
