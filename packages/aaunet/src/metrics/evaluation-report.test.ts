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
