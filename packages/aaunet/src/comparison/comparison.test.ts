import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { DiceAccumulator } from '../metrics/dice.js';
import { toEvaluation, type Evaluation } from '../metrics/evaluation-report.js';
import type { ComparedRun } from './compared-run.js';
import { compareRuns, readPaperFigures, type Comparison } from './comparison.js';
import { formatComparison } from './format.js';

/** An evaluation of two patients with a slice of four pixels each: ICH in the first, SDH in both. */
function evaluationOf(model: string, predictions: readonly (readonly number[])[], size = 2): Evaluation {
  const scores = new DiceAccumulator(['ICH', 'SDH']);
  const truths = [
    [1, 1, 2, 0],
    [0, 2, 2, 2],
  ];
  truths.forEach((truth, i) => {
    scores.addSlice(`case_${i}`, Uint8Array.from(truth), Uint8Array.from(predictions[i]!));
  });
  return toEvaluation(scores.finish(), {
    ...{ software: 'aaunet', model, checkpoint: 'best', data: 'made & small', split: 'test', synthetic: true, size },
    secondsPerImage: 0.25,
  });
}

function runOf(model: string, predictions: readonly (readonly number[])[], size?: number): ComparedRun {
  return {
    ...{ run: `runs/${model}`, evaluation: evaluationOf(model, predictions, size), steps: 10, batch: 2 },
    ...{ precision: 'fp32', device: 'cpu', trainSecondsPerImage: 1.5, parameters: 29_690_000, gflop: 92.1 },
  };
}

const PERFECT = [
  [1, 1, 2, 0],
  [0, 2, 2, 2],
];
/** ICH: one of two found (Dice 2/3). SDH: two of four found, one wrong (Dice 4/7). */
const POOR = [
  [1, 2, 0, 0],
  [0, 2, 2, 0],
];

const comparison = compareRuns([runOf('rsu_a', POOR), runOf('rsu-sc', PERFECT)], {
  'rsu-sc': { ICH: 0.5, mean: 0.25 },
});

describe('compareRuns', () => {
  it('pools the voxels of all patients, and averages the types', () => {
    const [poor, perfect] = comparison.networks;
    expect(poor!.types['ICH']!.dice).toBeCloseTo(2 / 3, 12);
    expect(poor!.types['SDH']!.dice).toBeCloseTo(4 / 7, 12);
    expect(poor!.mean.dice).toBeCloseTo((2 / 3 + 4 / 7) / 2, 12);
    expect(perfect!.mean).toEqual({ dice: 1, low: 1, high: 1 });
  });

  it('gives the scores that evaluation.json gives', () => {
    const { classes, mean } = evaluationOf('rsu_a', POOR);
    const [poor] = comparison.networks;
    for (const { name, annotated, pooled } of classes)
      if (annotated) expect(poor!.types[name]!.dice).toBeCloseTo(pooled.dice!, 12);
    expect(poor!.mean.dice).toBeCloseTo(mean.pooled.dice!, 12);
  });

  it('draws patients, not slices: of two patients an interval runs from one to the other', () => {
    const { low, high } = comparison.networks[0]!.types['SDH']!;
    // The first patient alone: nothing found, one wrong. The second alone: two of three.
    expect(low).toBeCloseTo(0, 12);
    expect(high).toBeCloseTo(4 / 5, 12);
  });

  it('refuses runs that were not judged on the same slices, and an empty table', () => {
    expect(() => compareRuns([runOf('rsu', POOR), runOf('rsu-s', POOR, 4)])).toThrow(
      /"size" is 4 in runs\/rsu-s and 2 in runs\/rsu; evaluate both in the same way/,
    );
    const other = evaluationOf('rsu-s', POOR);
    const renamed = { ...other, perCase: other.perCase.map((one) => ({ ...one, case: `other_${one.case}` })) };
    expect(() => compareRuns([runOf('rsu', POOR), { ...runOf('rsu-s', POOR), evaluation: renamed }])).toThrow(
      /same cases and labels, but those of runs\/rsu-s are not those of runs\/rsu;/,
    );
    expect(() => compareRuns([])).toThrow(/at least one run/);
  });
});

describe('formatComparison', () => {
  it('writes Markdown with the best of each column bold, intervals, the figures of the paper and the costs', () => {
    const text = formatComparison(comparison, 'md');
    const rows = text.split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
    expect(rows.find((row) => row[1] === 'rsu_a')!.slice(2, 5)).toEqual(['0.667', '0.571', '0.619']);
    expect(rows.find((row) => row[1] === 'rsu-sc')!.slice(2, 5)).toEqual(['**1.000**', '**1.000**', '**1.000**']);
    expect(rows.find((row) => row[1] === 'in the paper')!.slice(2, 5)).toEqual(['0.500', '–', '0.250']);
    expect(text).toContain('[0.00-0.80]');
    expect(rows.at(-1)!.slice(1, 7)).toEqual(['rsu-sc', '29.69', '92', '10', '1.5', '0.25']);
    expect(text).toContain('of its own private data');
    expect(text).toContain('Synthetic data: these scores say nothing about patients.');
  });

  it('tells two runs of one network apart, and names networks alone where there is one run of each', () => {
    const first = runOf('rsu', POOR);
    const twice = compareRuns([first, { ...first, run: 'runs/longer' }, runOf('rsu-sc', POOR)]);
    for (const format of ['md', 'latex', 'csv'] as const) {
      const text = formatComparison(twice, format);
      expect(text).toContain('runs/rsu');
      expect(text).toContain('runs/longer');
    }
    expect(formatComparison(twice, 'md')).not.toContain('runs/rsu-sc');
  });

  it('calls nothing the best where no network found anything', () => {
    const nothing = compareRuns([runOf('rsu', [new Array(4).fill(0), new Array(4).fill(0)])]);
    expect(formatComparison(nothing, 'md')).not.toContain('**');
  });

  it('writes CSV of a row a network and type, quoting what needs it', () => {
    const lines = formatComparison(comparison, 'csv').split('\n');
    expect(lines[0]).toMatch(/^network,type,pooled_dice,low95,high95,paper_dice,/);
    expect(lines).toHaveLength(1 + 2 * 3);
    expect(lines[4]).toBe('rsu-sc,ICH,1,1,1,0.5,29690000,92.1,10,1.5,0.25,runs/rsu-sc');
    const odd = { ...comparison, networks: comparison.networks.map((one) => ({ ...one, model: 'a,"b"' })) };
    expect(formatComparison(odd, 'csv').split('\n')[1]).toMatch(/^"a,""b""",ICH,/);
  });

  it('writes LaTeX in which nothing of the names is a command', () => {
    const text = formatComparison(comparison, 'latex');
    expect(text).toContain('rsu\\_a & 0.667 & 0.571 & 0.619 & 29.7 & 92 \\\\');
    expect(text).toContain('\\textbf{1.000}');
    expect(text).toContain('{\\scriptsize [0.00--0.80]}');
    expect(text).toContain('made \\& small');
    expect(text).toMatch(/^\\begin\{table\*\}[^]*\\end\{table\*\}$/);
  });

  it('writes JSON that says all of it', () => {
    expect(JSON.parse(formatComparison(comparison, 'json')) as Comparison).toEqual(comparison);
  });
});

describe('readPaperFigures', () => {
  it('reads figures by network and type, and refuses misspelt ones, naming those there are', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'aaunet-paper-'));
    const read = async (figures: unknown) => {
      const path = join(folder, 'paper.json');
      await writeFile(path, JSON.stringify(figures));
      return readPaperFigures(path);
    };
    try {
      const figures = { 'rsu-sc': { ICH: 0.5, mean: 0.4 }, 'resnet18-unet': {} };
      expect(await read(figures)).toEqual(figures);
      await expect(read({ rsu: { ICH: 0.5, IHC: 0.5 } })).rejects.toThrow(
        /unknown hemorrhage type IHC \(known: ICH, SDH, .*, mean\)\.$/,
      );
      await expect(read({ 'rsu-cs': { ICH: 0.5 } })).rejects.toThrow(
        /unknown network rsu-cs \(known: .*, rsu-sc, .*\)\.$/,
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
