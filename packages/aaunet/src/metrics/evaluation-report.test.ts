import { describe, expect, it } from 'vitest';
import { DiceAccumulator } from './dice.js';
import { evaluationSchema, formatEvaluation, toEvaluation } from './evaluation-report.js';

const context = {
  software: 'aaunet 0.1.0',
  model: 'rsu-sc',
  checkpoint: 'best',
  data: 'phantoms',
  split: 'test',
  synthetic: true,
  size: 128,
  secondsPerImage: 0.5,
} as const;

function example() {
  const accumulator = new DiceAccumulator(['ICH', 'SDH']);
  accumulator.addSlice('a', Uint8Array.of(1, 1, 0), Uint8Array.of(1, 0, 0));
  return toEvaluation(accumulator.finish(), context);
}

describe('evaluation.json', () => {
  it('survives being written and read, with NaN as null', () => {
    const evaluation = example();
    expect(evaluation.classes[0]!.pooled.dice).toBeCloseTo(2 / 3, 12);
    expect(evaluation.classes[1]!.pooled.dice).toBeNull();
    expect(evaluationSchema.parse(JSON.parse(JSON.stringify(evaluation)))).toEqual(evaluation);
  });

  it('holds the counts of every case and whose it is', () => {
    const accumulator = new DiceAccumulator(['ICH']);
    accumulator.addSlice('a', Uint8Array.of(1, 1, 0), Uint8Array.of(1, 0, 2));
    accumulator.addSlice('a', Uint8Array.of(1, 0, 0), Uint8Array.of(1, 1, 0));
    accumulator.addSlice('b', Uint8Array.of(0, 0, 0), Uint8Array.of(0, 0, 1));
    const { perCase } = toEvaluation(accumulator.finish(), { ...context, patients: { a: 'P1' } });
    expect(perCase.map((entry) => [entry.case, entry.patient, entry.slices])).toEqual([
      ['a', 'P1', 2],
      ['b', 'b', 1],
    ]);
    expect(perCase[0]!.types[0]).toEqual({ id: 1, name: 'ICH', truth: 3, predicted: 3, intersection: 2 });
    expect(perCase[0]!.types[1]).toMatchObject({ name: 'SDH', truth: 0, predicted: 1, intersection: 0 });
    expect(perCase[1]!.types[0]).toMatchObject({ truth: 0, predicted: 1, intersection: 0 });
  });

  it('refuses keys that it does not know', () => {
    expect(evaluationSchema.safeParse({ ...example(), extra: 1 }).success).toBe(false);
  });
});

describe('formatEvaluation', () => {
  it('names the convention, n, types without annotation and that the data are synthetic', () => {
    const text = formatEvaluation(example());
    expect(text).toContain('Synthetic data');
    expect(text).toContain('no score');
    const lines = text.split('\n');
    expect(lines.find((line) => line.startsWith('| ICH'))).toMatch(/0\.667 \| +2 \|.*0\.667 \| +1 \|.*0\.667 \| +1 \|/);
    expect(lines.find((line) => line.startsWith('| SDH'))).toMatch(/– \| +0 \|/);
    expect(lines.find((line) => line.startsWith('| IVH'))).toContain('not annotated');
    expect(new Set(lines.slice(2).map((line) => line.length)).size).toBe(1);
  });
});
