import { LABELS } from '@aaunet/imaging';
import { encode } from 'fast-png';

import { Canvas, type Color } from '../inference/canvas.js';
import { displayGeometry, greySlice, maskSlice, withoutAir } from '../inference/display-slice.js';
import { escapeHtml, htmlPage, htmlPicture, htmlTable } from '../inference/html.js';
import type { Assessment } from '../metrics/assessment.js';
import type { Evaluation } from '../metrics/evaluation-report.js';
import { unpackPicture, type CasePicture } from './case-picture.js';
import { blandAltmanPlot, confusionPlot, dicePlot, reliabilityPlot } from './svg-plots.js';

type Estimate = Assessment['types'][number]['pooled']['dice'];

const BRAIN_WINDOW = { center: 40, width: 80 };
const TILE = 320;
const GAP = 4;

function figure({ value, low, high, n }: Estimate, digits = 2): string {
  const range = low === null || high === null ? '' : `${low.toFixed(digits)} to ${high.toFixed(digits)}, `;
  return `${value?.toFixed(digits) ?? '–'}<br><small class="quiet">${range}n ${n}</small>`;
}

function tableOf(
  assessment: Assessment,
  columns: readonly (readonly [string, (type: Assessment['types'][number]) => string])[],
): string {
  return htmlTable(
    ['type', ...columns.map(([title]) => title)],
    assessment.types.map((type) => [type.name, ...columns.map(([, cell]) => cell(type))]),
  );
}

/** A case's slices: the scan, the truth over it, the prediction over it, a row a slice. */
export function renderCasePicture(picture: CasePicture): Uint8Array {
  const { geometry, slices } = picture;
  const { hu, truth, predicted } = unpackPicture(picture);
  const view = { ...geometry, slices: slices.length };
  const display = withoutAir(displayGeometry(view), { ...view, data: hu });
  const height = Math.round(TILE * Math.min(3, display.heightMm / display.widthMm));
  const canvas = new Canvas(3 * (TILE + GAP) - GAP, slices.length * (height + GAP) - GAP);
  slices.forEach((number, row) => {
    const size = { slice: row, geometry: display, width: TILE, height };
    const grey = greySlice({ ...size, volume: { ...view, data: hu } }, BRAIN_WINDOW);
    [undefined, truth, predicted].forEach((labels, column) => {
      const [left, top] = [column * (TILE + GAP), row * (height + GAP)];
      grey.forEach((value, pixel) => {
        canvas.set(left + (pixel % TILE), top + Math.floor(pixel / TILE), [value, value, value]);
      });
      if (labels)
        drawContours(canvas, left, top, height, (id) => maskSlice({ ...size, volume: { ...view, data: labels } }, id));
      const title = column === 0 ? `slice ${number + 1}` : column === 1 ? 'truth' : 'prediction';
      canvas.text(title, left + 6, top + 6, 2, [255, 255, 255]);
    });
  });
  return encode({ width: canvas.width, height: canvas.height, data: canvas.data, channels: 3, depth: 8 });
}

/** Draws the inner rim of every type's mask. */
function drawContours(
  canvas: Canvas,
  left: number,
  top: number,
  height: number,
  maskOf: (id: number) => Uint8Array,
): void {
  for (const { id, color } of LABELS) {
    const mask = maskOf(id);
    const at = (x: number, y: number): boolean =>
      x >= 0 && y >= 0 && x < TILE && y < height && mask[y * TILE + x] === 1;
    const rim: Color = color;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < TILE; x++) {
        if (!at(x, y)) continue;
        const isRim = [-2, -1, 1, 2].some((d) => !at(x + d, y) || !at(x, y + d));
        if (isRim) canvas.set(left + x, top + y, rim);
      }
    }
  }
}

/** The best, the median and the worst case by Dice of all hemorrhage; cases without a score are left out. */
export function exemplaryCases({
  cases,
}: Assessment): { readonly title: string; readonly case: string; readonly dice: number }[] {
  const ranked = cases
    .flatMap(({ case: name, types }) => {
      const dice = types.at(-1)?.dice ?? null;
      return dice === null ? [] : [{ case: name, dice }];
    })
    .sort((a, b) => b.dice - a.dice || (a.case < b.case ? -1 : 1));
  const wanted = [
    ['Best case', 0],
    ['Median case', (ranked.length - 1) >> 1],
    ['Worst case', ranked.length - 1],
  ] as const;
  const seen = new Set<string>();
  return wanted.flatMap(([title, rank]) => {
    const one = ranked[rank];
    if (one === undefined || seen.has(one.case)) return [];
    seen.add(one.case);
    return [{ title, ...one }];
  });
}

function legend(): string {
  return LABELS.map(
    ({ name, color: [r, g, b] }) => `<span class="swatch" style="background:rgb(${r},${g},${b})"></span>${name}`,
  ).join(' &nbsp; ');
}

/** evaluation.html: every figure of evaluation.json with its interval, plots, and cases as pictures; asks for nothing outside. */
export function renderEvaluationPage(evaluation: Evaluation, pictures: readonly CasePicture[]): string {
  const { assessment, model, data, split, checkpoint, caseCount, sliceCount, size, inputSize, synthetic } = evaluation;
  if (!assessment)
    throw new Error('Expected an evaluation with an assessment, found one without: evaluate the run again.');
  const { intervals, conventions } = assessment;
  const examples = exemplaryCases(assessment).map(({ title, case: name, dice }) => {
    const picture = pictures.find((candidate) => candidate.case === name);
    if (!picture) return '';
    return `<figure><figcaption>${title}: ${escapeHtml(name)}, Dice of all hemorrhage ${dice.toFixed(2)}</figcaption>${htmlPicture(renderCasePicture(picture), `${title} ${name}`)}</figure>`;
  });
  return htmlPage(
    `Evaluation of ${model} on ${data}`,
    `<h1>${escapeHtml(model)} on ${escapeHtml(data)}</h1>
<p>${caseCount} cases of ${intervals.patients} patients, ${sliceCount} slices, ${size === 'source' ? "scored in the files' own voxels" : `scored at ${size} x ${size} pixels`}${inputSize === undefined ? '' : ` (network input ${inputSize} x ${inputSize})`}; ${split} part, ${escapeHtml(checkpoint)} checkpoint, ${escapeHtml(evaluation.software)}.</p>
${synthetic ? '<p class="notice">Synthetic data: these scores say nothing about patients.</p>' : ''}
<p class="notice">Research use only: not a medical device.</p>
<p class="quiet">Below each figure: ${Math.round(intervals.level * 100)} % intervals (${intervals.method}, ${intervals.resamples} resamples, seed ${intervals.seed}); n, the number of items. Both empty: ${conventions.bothEmpty === 'one' ? 'counts as 1' : 'no score'}. HD95 with one empty: ${conventions.oneEmptyHd95 === 'nan' ? 'no value' : "the scan's diagonal"}.</p>
<h2>Overlap</h2>
${dicePlot(assessment.types)}
${tableOf(assessment, [
  ['Dice, pooled', ({ pooled }) => figure(pooled.dice)],
  ['Dice, cases', ({ cases }) => figure(cases.dice)],
  ['Dice, positive slices', ({ slices }) => figure(slices.dice)],
  ['IoU, pooled', ({ pooled }) => figure(pooled.iou)],
  ['precision, pooled', ({ pooled }) => figure(pooled.precision)],
  ['recall, pooled', ({ pooled }) => figure(pooled.recall)],
])}
<h2>Surface, mean over cases</h2>
${tableOf(assessment, [
  ['NSD at 1 mm', ({ cases }) => figure(cases.nsd1mm)],
  ['NSD at 2 mm', ({ cases }) => figure(cases.nsd2mm)],
  ['HD95, mm', ({ cases }) => figure(cases.hd95Mm, 1)],
])}
<h2>Detection</h2>
${tableOf(assessment, [
  ['lesion F1', ({ lesions }) => figure(lesions.f1)],
  ['lesion recall', ({ lesions }) => figure(lesions.recall)],
  ['case sensitivity', ({ caseDetection }) => figure(caseDetection.sensitivity)],
  ['case specificity', ({ caseDetection }) => figure(caseDetection.specificity)],
  ['case AUC', ({ caseDetection }) => figure(caseDetection.auc)],
  ['slice sensitivity', ({ sliceDetection }) => figure(sliceDetection.sensitivity)],
  ['slice specificity', ({ sliceDetection }) => figure(sliceDetection.specificity)],
  ['slice AUC', ({ sliceDetection }) => figure(sliceDetection.auc)],
])}
<h2>Volume and calibration</h2>
<div class="row">${blandAltmanPlot(assessment)}${reliabilityPlot(assessment)}</div>
${tableOf(assessment, [
  ['|error|, mL', ({ volume }) => figure(volume.absoluteErrorMl, 1)],
  ['|error| / true', ({ volume }) => figure(volume.relativeError)],
  ['bias, mL', ({ volume }) => figure(volume.biasMl, 1)],
  ['concordance', ({ volume }) => figure(volume.concordance)],
  ['ECE', ({ calibration }) => calibration.ece?.toFixed(3) ?? '–'],
])}
<h2>Confusion between types</h2>
<p class="quiet">Percent of a row; the number itself is shown where the pointer rests.</p>
<div class="row">${confusionPlot(evaluation.confusion, 'true voxels', 'predicted as')}${confusionPlot(assessment.lesionConfusion, 'true lesions', 'mostly predicted as')}</div>
<h2>Cases</h2>
<p>${legend()}</p>
${examples.join('\n')}`,
  );
}
