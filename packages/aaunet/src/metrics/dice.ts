import { CLASS_COUNT, LABELS } from '@aaunet/imaging';

import { overlapScores, type Overlap } from './overlap.js';

/** What a score is where truth and prediction are both empty: no number, or a perfect one. */
export type EmptyConvention = 'nan' | 'one';

/** A score and the number of items that it was computed from. */
export interface CountedScore {
  readonly dice: number;
  readonly n: number;
}

/** Scores from voxels pooled over everything added; `n` truth voxels, `predicted` voxels. NaN where undefined. */
export interface PooledScore extends CountedScore {
  readonly iou: number;
  readonly precision: number;
  readonly recall: number;
  readonly predicted: number;
}

export interface ClassScores {
  readonly id: number;
  readonly name: string;
  /** False where the data set does not mark this type: then there is no score, all are NaN with n 0. */
  readonly annotated: boolean;
  readonly pooled: PooledScore;
  /** Mean of the cases' Dice where truth or prediction is non-empty (all cases with `empty: 'one'`). */
  readonly cases: CountedScore;
  /** Mean of the slices' Dice where the truth is non-empty. */
  readonly slices: CountedScore;
}

/** Voxels of one type in one case: in the truth, in the prediction, in both. */
export interface CaseOverlap {
  readonly id: number;
  readonly name: string;
  readonly truth: number;
  readonly predicted: number;
  readonly intersection: number;
}

/** The counts of one case, from which its own scores and every pooled one can be computed again. */
export interface CaseCountsOfTypes {
  readonly case: string;
  readonly slices: number;
  readonly types: readonly CaseOverlap[];
}

export interface SegmentationScores {
  readonly empty: EmptyConvention;
  readonly caseCount: number;
  readonly sliceCount: number;
  readonly classes: readonly ClassScores[];
  /** Means over the annotated classes that have a score; NaN where none has. `n` is the number of classes. */
  readonly mean: { readonly pooled: CountedScore; readonly cases: CountedScore; readonly slices: CountedScore };
  /** Voxel counts, `confusion[truth][prediction]`. */
  readonly confusion: readonly (readonly number[])[];
  /** In the order in which the cases were added. */
  readonly perCase: readonly CaseCountsOfTypes[];
}

function overlapOf(confusion: Float64Array, label: number): Overlap {
  let truth = 0;
  let predicted = 0;
  for (let other = 0; other < CLASS_COUNT; other++) {
    truth += confusion[label * CLASS_COUNT + other]!;
    predicted += confusion[other * CLASS_COUNT + label]!;
  }
  return { truth, predicted, intersection: confusion[label * CLASS_COUNT + label]! };
}

function meanOf(values: readonly number[]): CountedScore {
  const known = values.filter((value) => !Number.isNaN(value));
  return { dice: known.reduce((sum, value) => sum + value, 0) / known.length, n: known.length };
}

/**
 * Dice of every annotated type from pooled voxels, and their mean.
 *
 * @param confusion voxel counts, truth x prediction, row by row: what several accumulators counted may be added up
 */
export function pooledDice(
  confusion: readonly number[],
  annotated: readonly string[],
): { mean: number; dice: Record<string, number | null> } {
  const counts = Float64Array.from(confusion);
  const scores = LABELS.map(({ id, name }) => ({
    name,
    dice: annotated.includes(name) ? overlapScores(overlapOf(counts, id)).dice : NaN,
  }));
  return {
    mean: meanOf(scores.map(({ dice }) => dice)).dice,
    dice: Object.fromEntries(scores.map(({ name, dice }) => [name, Number.isNaN(dice) ? null : dice])),
  };
}

/** Sum and number of scores: a mean that needs no list. */
class RunningMean {
  private sum = 0;
  private n = 0;

  add(value: number): void {
    if (Number.isNaN(value)) return;
    this.sum += value;
    this.n++;
  }

  get score(): CountedScore {
    return { dice: this.n === 0 ? NaN : this.sum / this.n, n: this.n };
  }
}

/**
 * Streaming segmentation scores in three aggregations of Dice (pooled voxels, mean over cases, mean over positive
 * slices). Slices of one case must be added one after another; memory is independent of the amount of data.
 */
export class DiceAccumulator {
  private readonly pooled = new Float64Array(CLASS_COUNT ** 2);
  private readonly ofCase = new Float64Array(CLASS_COUNT ** 2);
  private readonly ofSlice = new Float64Array(CLASS_COUNT ** 2);
  private readonly caseMeans = LABELS.map(() => new RunningMean());
  private readonly sliceMeans = LABELS.map(() => new RunningMean());
  private readonly finished = new Set<string>();
  private readonly perCase: CaseCountsOfTypes[] = [];
  private current: string | undefined;
  private sliceCount = 0;
  private slicesOfCase = 0;

  /**
   * @param annotated names of the types that the data set marks; the others get no score.
   * @param empty score where truth and prediction are both empty.
   */
  constructor(
    private readonly annotated: readonly string[],
    private readonly empty: EmptyConvention = 'nan',
  ) {}

  /**
   * Adds one slice of labels (0 to 7, any order of pixels, equal lengths).
   *
   * @throws Error if the lengths differ, a label is unknown, or the case was left and comes again.
   */
  addSlice(caseName: string, truth: Uint8Array, prediction: Uint8Array): void {
    if (truth.length !== prediction.length) {
      throw new Error(`Expected as many predicted pixels as true ones (${truth.length}), found ${prediction.length}.`);
    }
    if (caseName !== this.current) {
      if (this.finished.has(caseName)) {
        throw new Error(`Expected all slices of case ${caseName} one after another, but another case came between.`);
      }
      this.finishCase();
      this.current = caseName;
    }
    const counts = this.ofSlice.fill(0);
    for (let i = 0; i < truth.length; i++) {
      const t = truth[i]!;
      const p = prediction[i]!;
      if (t >= CLASS_COUNT || p >= CLASS_COUNT) {
        throw new Error(`Expected labels 0 to ${CLASS_COUNT - 1} in case ${caseName}, found ${Math.max(t, p)}.`);
      }
      counts[t * CLASS_COUNT + p]!++;
    }
    for (let i = 0; i < counts.length; i++) this.ofCase[i]! += counts[i]!;
    LABELS.forEach(({ id }, index) => {
      const overlap = overlapOf(counts, id);
      if (overlap.truth > 0) this.sliceMeans[index]!.add(overlapScores(overlap, this.empty).dice);
    });
    this.sliceCount++;
    this.slicesOfCase++;
  }

  private finishCase(): void {
    if (this.current === undefined) return;
    this.finished.add(this.current);
    this.perCase.push({
      case: this.current,
      slices: this.slicesOfCase,
      types: LABELS.map(({ id, name }) => {
        return { id, name, ...overlapOf(this.ofCase, id) };
      }),
    });
    this.current = undefined;
    this.slicesOfCase = 0;
    LABELS.forEach(({ id }, index) => {
      this.caseMeans[index]!.add(overlapScores(overlapOf(this.ofCase, id), this.empty).dice);
    });
    for (let i = 0; i < this.pooled.length; i++) this.pooled[i]! += this.ofCase[i]!;
    this.ofCase.fill(0);
  }

  /** The scores of everything added so far; ends the current case. */
  finish(): SegmentationScores {
    this.finishCase();
    const classes = LABELS.map(({ id, name }, index): ClassScores => {
      const annotated = this.annotated.includes(name);
      if (!annotated) {
        const none = { dice: NaN, n: 0 };
        const pooled = { ...none, iou: NaN, precision: NaN, recall: NaN, predicted: 0 };
        return { id, name, annotated, pooled, cases: none, slices: none };
      }
      const overlap = overlapOf(this.pooled, id);
      const pooled = {
        ...overlapScores(overlap, this.empty),
        n: overlap.truth,
        predicted: overlap.predicted,
      };
      return {
        id,
        name,
        annotated,
        pooled,
        cases: this.caseMeans[index]!.score,
        slices: this.sliceMeans[index]!.score,
      };
    });
    const scored = classes.filter(({ annotated }) => annotated);
    return {
      empty: this.empty,
      caseCount: this.finished.size,
      sliceCount: this.sliceCount,
      classes,
      mean: {
        pooled: meanOf(scored.map(({ pooled }) => pooled.dice)),
        cases: meanOf(scored.map(({ cases }) => cases.dice)),
        slices: meanOf(scored.map(({ slices }) => slices.dice)),
      },
      confusion: Array.from({ length: CLASS_COUNT }, (_, row) =>
        Array.from(this.pooled.subarray(row * CLASS_COUNT, (row + 1) * CLASS_COUNT)),
      ),
      perCase: [...this.perCase],
    };
  }
}
