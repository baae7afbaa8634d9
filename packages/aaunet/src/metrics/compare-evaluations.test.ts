import { describe, expect, it } from 'vitest';

import { compareEvaluations } from './compare-evaluations.js';
import { DiceAccumulator } from './dice.js';
import { toEvaluation, type Evaluation } from './evaluation-report.js';

/** Ten patients with ICH of ten pixels, of which a network finds so many. */
function evaluationOf(found: (patient: number) => number, patients = 10): Evaluation {
  const accumulator = new DiceAccumulator(['ICH', 'SDH']);
  for (let patient = 0; patient < patients; patient++) {
    const truth = new Uint8Array(20).fill(1, 0, 10);
    accumulator.addSlice(`P${patient}`, truth, new Uint8Array(20).fill(1, 0, found(patient)));
  }
  const context = { software: 's', model: 'm', checkpoint: 'best', data: 'd', split: 'test', synthetic: true } as const;
  return toEvaluation(accumulator.finish(), { ...context, size: 32, secondsPerImage: null });
}

describe('compareEvaluations', () => {
  it('tells a network that is better in every patient, and none from itself', () => {
    const [worse, better] = [
      evaluationOf((patient) => 2 + (patient % 3)),
      evaluationOf((patient) => 5 + (patient % 3)),
    ];
    const [ich, sdh] = compareEvaluations(worse, better);
    expect(ich).toMatchObject({ name: 'ICH', n: 10 });
    expect(ich!.difference).toBeGreaterThan(0.25);
    expect(ich!.low).toBeGreaterThan(0.2);
    expect(ich!.p).toBeLessThan(0.01);
    expect(ich!.holmP).toBe(ich!.p);
    expect(sdh).toMatchObject({ n: 0, p: NaN, holmP: NaN });
    expect(compareEvaluations(worse, worse)[0]).toMatchObject({ n: 10, difference: 0, p: NaN });
    expect(compareEvaluations(better, worse)[0]!.difference).toBeCloseTo(-ich!.difference, 12);
  });

  it('refuses evaluations of different cases', () => {
    expect(() =>
      compareEvaluations(
        evaluationOf(() => 3),
        evaluationOf(() => 3, 9),
      ),
    ).toThrow('the same cases');
  });
});
