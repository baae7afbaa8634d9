import { groupBy, type BootstrapOptions } from './bootstrap.js';
import type { Evaluation } from './evaluation-report.js';
import { overlapScores, sumOverlaps } from './overlap.js';
import { holm, pairedTest, type PairedTest } from './paired.js';

/** The difference of two networks in one type. */
export interface EvaluationComparison extends PairedTest {
  readonly id: number;
  readonly name: string;
  /** `p` corrected for all types compared (Holm). */
  readonly holmP: number;
}

/** The cases and the voxels of every type in them: what two evaluations that compare were made against alike. */
export function truthOf({ size, perCase }: Pick<Evaluation, 'size' | 'perCase'>): string {
  return JSON.stringify([size, perCase.map((entry) => [entry.case, entry.types.map(({ truth }) => truth)]).sort()]);
}

/**
 * Compares two evaluations of the same cases type by type: each patient's Dice (voxels of the patient's cases pooled) in the
 * second less that in the first, with a paired bootstrap interval, Wilcoxon's signed-rank test and Holm's correction.
 *
 * @throws Error if the two are not of the same cases with the same truth.
 */
export function compareEvaluations(
  first: Evaluation,
  second: Evaluation,
  options: BootstrapOptions = {},
): EvaluationComparison[] {
  if (truthOf(first) !== truthOf(second)) {
    throw new Error(
      `Expected two evaluations of the same cases at the same size, found ${first.model} and ${second.model} on different ones; evaluate both on one split.`,
    );
  }
  const inOther = new Map(second.perCase.map((entry) => [entry.case, entry]));
  const patients = groupBy(first.perCase, ({ patient }) => patient);
  const compared = first.classes
    .filter(({ annotated }) => annotated)
    .map(({ id, name }) => {
      const diceOf = (cases: Evaluation['perCase']): number =>
        overlapScores(sumOverlaps(cases.flatMap(({ types }) => types.filter((type) => type.id === id))), first.empty)
          .dice;
      const pairs = patients.map(
        (cases) => [diceOf(cases), diceOf(cases.map((entry) => inOther.get(entry.case)!))] as const,
      );
      return { id, name, ...pairedTest(pairs, options) };
    });
  const corrected = holm(compared.map(({ p }) => p));
  return compared.map((one, index) => ({ ...one, holmP: corrected[index]! }));
}
