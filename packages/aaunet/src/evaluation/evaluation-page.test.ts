import type { Affine } from '@aaunet/imaging';
import { describe, expect, it } from 'vitest';

import { assess } from '../metrics/assessment.js';
import { CalibrationAccumulator } from '../metrics/calibration.js';
import { recordCase } from '../metrics/case-record.js';
import { DiceAccumulator } from '../metrics/dice.js';
import { toEvaluation, type Evaluation } from '../metrics/evaluation-report.js';
import { emptyConfusion } from '../metrics/lesion-confusion.js';
import { keepCasePicture } from './case-picture.js';
import { exemplaryCases, renderEvaluationPage } from './evaluation-page.js';
import { blandAltmanPlot, confusionPlot, dicePlot, reliabilityPlot } from './svg-plots.js';

const AFFINE: Affine = [
  [-1, 0, 0, 0],
  [0, -1, 0, 0],
  [0, 0, 5, 0],
  [0, 0, 0, 1],
];
const geometry = { slices: 2, rows: 8, columns: 8, affine: AFFINE };
const annotated = ['ICH', 'SDH'] as const;
/** Truth of eight voxels of ICH each; the prediction hits so many of them. */
const HITS = { good: 8, fair: 6, '<b>poor': 2 };

function evaluate(): { evaluation: Evaluation; pictures: Parameters<typeof renderEvaluationPage>[1] } {
  const dice = new DiceAccumulator(annotated, 'nan');
  const calibration = new CalibrationAccumulator();
  for (const [probability, isTrue] of [[0.9, true], [0.8, true], [0.3, false]] as const) calibration.add(probability, isTrue); // prettier-ignore
  const cases = Object.entries(HITS).map(([name, hits]) => {
    const truth = new Uint8Array(128).fill(1, 16, 24);
    const predicted = new Uint8Array(128).fill(1, 16, 16 + hits);
    for (const start of [0, 64])
      dice.addSlice(name, truth.slice(start, start + 64), predicted.slice(start, start + 64));
    const picture = keepCasePicture(name, geometry, { hu: new Int16Array(128).fill(40), truth, predicted });
    const record = recordCase({ case: name, patient: name, geometry, truth, predicted }, { annotated });
    return { record, picture };
  });
  const { result } = calibration;
  const assessment = assess({
    cases: cases.map(({ record }) => record),
    annotated,
    empty: 'nan',
    missed: 'nan',
    lesionConfusion: emptyConfusion(),
    calibration: { pixels: result, lesions: result, types: Array.from({ length: 8 }, () => result) },
    bootstrap: { resamples: 50 },
  });
  const context = {
    ...{ software: 'aaunet 0.1.0', model: 'rsu-sc', checkpoint: 'best', data: 'a & b', split: 'test' as const },
    ...{ synthetic: true, size: 'source' as const, inputSize: 32, secondsPerImage: null },
  };
  return {
    evaluation: toEvaluation(dice.finish(), context, assessment),
    pictures: cases.map(({ picture }) => picture),
  };
}

/** Tags that are not closed in their order; void elements of HTML need not be. */
function unclosed(markup: string): string[] {
  const open: string[] = [];
  for (const [, end, name, self] of markup.matchAll(/<(\/?)([a-zA-Z0-9]+)[^>]*?(\/?)>/g)) {
    if (self === '/' || ['meta', 'img', 'br'].includes(name!)) continue;
    if (end === '') open.push(name!);
    else if (open.at(-1) === name) open.pop();
    else return [...open, `/${name}`];
  }
  return open;
}

const { evaluation, pictures } = evaluate();
const assessment = evaluation.assessment!;

describe('plots', () => {
  it('are whole vector pictures with a name for who cannot see them, and no number that is none', () => {
    const confusion = confusionPlot(evaluation.confusion, 'true voxels', 'predicted as');
    const plots = [dicePlot(assessment.types), blandAltmanPlot(assessment), reliabilityPlot(assessment), confusion];
    for (const plot of plots) {
      expect(unclosed(plot)).toEqual([]);
      expect(plot).toMatch(/^<svg [^>]*role="img" aria-label="[^"]+"><title>/);
      expect(plot).not.toMatch(/NaN|Infinity|undefined|null/);
    }
  });

  it('put Dice where it belongs, and draw nothing for a type without a score', () => {
    const plot = dicePlot(assessment.types);
    // ICH and any have a score, SDH has none; one more circle is the legend's.
    expect(plot.match(/<circle/g)).toHaveLength(3);
    const pooled = (2 * 16) / (24 + 16);
    expect(plot).toContain(`cx="${(130 + pooled * 560).toFixed(1)}"`);
  });

  it('draw a point for every bleeding case by its difference, with the names escaped', () => {
    const plot = blandAltmanPlot(assessment);
    expect(plot.match(/<circle/g)).toHaveLength(3);
    expect(plot).toContain('&lt;b&gt;poor: -0.03 mL');
    expect(plot).not.toContain('<b>');
  });

  it('tell marks apart by shape, too', () => {
    const plot = reliabilityPlot(assessment);
    expect(plot.match(/<circle/g)!.length).toBe(plot.match(/<rect/g)!.length);
  });
});

describe('the evaluation page', () => {
  const page = renderEvaluationPage(evaluation, pictures);

  it('shows the best, the median and the worst case, and says that the data are synthetic', () => {
    expect(exemplaryCases(assessment).map(({ case: name }) => name)).toEqual(['good', 'fair', '<b>poor']);
    expect(page.match(/<figure>/g)).toHaveLength(3);
    expect(page.indexOf('Synthetic data')).toBeLessThan(page.indexOf('<h2>'));
    expect(page.indexOf('Research use only')).toBeLessThan(page.indexOf('<h2>'));
    expect(page).toContain("scored in the files' own voxels (network input 32 x 32)");
  });

  it('is whole, escapes what comes from outside, and asks for nothing from anywhere', () => {
    expect(unclosed(page.replace('<!doctype html>', '').replace(/<style>[^]*<\/style>/, ''))).toEqual([]);
    expect(page).toContain('a &amp; b');
    expect(page).not.toMatch(/<b>|<script|(src|href)="(?!data:)/);
  });

  it('refuses an evaluation of an earlier version in a sentence', () => {
    const earlier: Partial<typeof evaluation> = { ...evaluation };
    delete earlier.assessment;
    expect(() => renderEvaluationPage(earlier as typeof evaluation, [])).toThrow('evaluate the run again');
  });
});
