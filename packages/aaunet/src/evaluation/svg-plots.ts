import { LABELS } from '@aaunet/imaging';

import { escapeHtml } from '../inference/html.js';
import type { Assessment } from '../metrics/assessment.js';

type TypeAssessment = Assessment['types'][number];
type Maybe = number | null;

/** Okabe and Ito's colours, which colour-blind readers tell apart; marks differ in shape, too. */
const BLUE = '#0072b2';
const ORANGE = '#d55e00';
const GREY = '#888888';

const svg = (width: number, height: number, title: string, body: string): string =>
  `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeHtml(title)}"><title>${escapeHtml(title)}</title>${body}</svg>`;

const fixed = (value: number): string => value.toFixed(1);

function line(x1: number, y1: number, x2: number, y2: number, color: string, more = ''): string {
  return `<line x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}" stroke="${color}" ${more}/>`;
}

function label(x: number, y: number, text: string, anchor: 'start' | 'middle' | 'end' = 'start'): string {
  return `<text x="${fixed(x)}" y="${fixed(y)}" text-anchor="${anchor}">${escapeHtml(text)}</text>`;
}

/** Ticks from 0 to 1 along the bottom. */
function unitAxis(left: number, right: number, top: number, bottom: number): string {
  return [0, 0.2, 0.4, 0.6, 0.8, 1]
    .map((value) => {
      const x = left + value * (right - left);
      return line(x, top, x, bottom, GREY, 'stroke-opacity="0.3"') + label(x, bottom + 16, String(value), 'middle');
    })
    .join('');
}

/** Dice of every type: pooled (circle) and mean over cases (square), with their intervals over patients. */
export function dicePlot(types: readonly TypeAssessment[]): string {
  const [width, row, left, right] = [720, 34, 130, 690];
  const at = (value: number): number => left + value * (right - left);
  const bottom = 30 + types.length * row;
  const marks = types.map(({ name, pooled, cases }, index) => {
    const y = 30 + index * row + row / 2;
    const bar = (low: Maybe, high: Maybe, offset: number, color: string): string =>
      low === null || high === null ? '' : line(at(low), y + offset, at(high), y + offset, color, 'stroke-width="2"');
    const dot = (value: Maybe, draw: (x: number) => string): string => (value === null ? '' : draw(at(value)));
    return [
      label(left - 10, y + 4, name, 'end'),
      bar(pooled.dice.low, pooled.dice.high, -6, BLUE),
      dot(pooled.dice.value, (x) => `<circle cx="${fixed(x)}" cy="${fixed(y - 6)}" r="5" fill="${BLUE}"/>`),
      bar(cases.dice.low, cases.dice.high, 6, ORANGE),
      dot(
        cases.dice.value,
        (x) => `<rect x="${fixed(x - 4.5)}" y="${fixed(y + 1.5)}" width="9" height="9" fill="${ORANGE}"/>`,
      ),
    ].join('');
  });
  const legend = `<circle cx="${left + 6}" cy="14" r="5" fill="${BLUE}"/>${label(left + 16, 18, 'all voxels pooled')}<rect x="${left + 160}" y="9" width="9" height="9" fill="${ORANGE}"/>${label(left + 175, 18, 'mean over cases')}`;
  return svg(width, bottom + 40, 'Dice of every type', unitAxis(left, right, 26, bottom) + marks.join('') + legend);
}

/** Bland and Altman: predicted less true volume against their mean, with bias and limits of agreement. */
export function blandAltmanPlot(assessment: Assessment): string {
  const any = assessment.types.at(-1)!;
  const points = assessment.cases.flatMap(({ case: name, types }) => {
    const { truthMl, predictedMl } = types.at(-1)!;
    return truthMl + predictedMl > 0 ? [{ name, x: (truthMl + predictedMl) / 2, y: predictedMl - truthMl }] : [];
  });
  const { biasMl, lowerLimitMl, upperLimitMl } = any.volume;
  const lines = [
    ['mean', biasMl.value],
    ['−1.96 SD', lowerLimitMl.value],
    ['+1.96 SD', upperLimitMl.value],
  ] as const;
  const ys = [0, ...points.map(({ y }) => y), ...lines.flatMap(([, value]) => (value === null ? [] : [value]))];
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const pad = (high - low || 1) * 0.08;
  const most = Math.max(1e-9, ...points.map(({ x }) => x)) * 1.05;
  const [left, right, top, bottom] = [70, 410, 14, 300];
  const px = (x: number): number => left + (x / most) * (right - left);
  const py = (y: number): number => bottom - ((y - low + pad) / (high - low + 2 * pad)) * (bottom - top);
  const body = [
    line(left, bottom, right, bottom, GREY),
    line(left, top, left, bottom, GREY),
    line(left, py(0), right, py(0), GREY, 'stroke-dasharray="2 4"'),
    ...lines.map(([text, value]) =>
      value === null
        ? ''
        : line(
            left,
            py(value),
            right,
            py(value),
            ORANGE,
            text === 'mean' ? 'stroke-width="2"' : 'stroke-dasharray="7 4"',
          ) + label(right + 4, py(value) + 4, `${text} ${value.toFixed(1)}`),
    ),
    ...points.map(
      ({ name, x, y }) =>
        `<circle cx="${fixed(px(x))}" cy="${fixed(py(y))}" r="4.5" fill="${BLUE}" fill-opacity="0.8"><title>${escapeHtml(name)}: ${y.toFixed(2)} mL</title></circle>`,
    ),
    label((left + right) / 2, bottom + 34, 'mean of true and predicted volume, mL', 'middle'),
    ...[0, 0.5, 1].map((part) => label(px(part * most), bottom + 16, (part * most).toFixed(1), 'middle')),
    `<text transform="translate(14 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">predicted − true, mL</text>`,
    ...[low, high].map((value) => label(left - 6, py(value) + 4, value.toFixed(1), 'end')),
  ];
  return svg(540, 345, 'Bland-Altman plot of all hemorrhage', body.join(''));
}

/** Reliability diagram: how often what was said with a confidence came true. */
export function reliabilityPlot({ calibration }: Assessment): string {
  const [left, right, top, bottom] = [50, 336, 14, 300];
  const px = (x: number): number => left + x * (right - left);
  const py = (y: number): number => bottom - y * (bottom - top);
  const curve = (bins: Assessment['calibration']['pixels']['bins'], color: string, isSquare: boolean): string =>
    bins
      .map(({ n, confidence, accuracy }) => {
        if (n === 0 || confidence === null || accuracy === null) return '';
        const [x, y] = [px(confidence), py(accuracy)];
        return isSquare
          ? `<rect x="${fixed(x - 4)}" y="${fixed(y - 4)}" width="8" height="8" fill="${color}"/>`
          : `<circle cx="${fixed(x)}" cy="${fixed(y)}" r="4.5" fill="${color}"/>`;
      })
      .join('');
  const body = [
    unitAxis(left, right, top, bottom),
    ...[0, 0.5, 1].map((value) => label(left - 6, py(value) + 4, String(value), 'end')),
    line(left, bottom, right, top, GREY, 'stroke-dasharray="4 4"'),
    curve(calibration.pixels.bins, BLUE, false),
    curve(calibration.lesions.bins, ORANGE, true),
    label((left + right) / 2, bottom + 34, 'probability of the likeliest label', 'middle'),
    `<text transform="translate(14 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">part that is right</text>`,
    `<circle cx="362" cy="34" r="4.5" fill="${BLUE}"/>${label(372, 38, `all pixels, ECE ${calibration.pixels.ece?.toFixed(3) ?? '–'}`)}`,
    `<rect x="358" y="50" width="8" height="8" fill="${ORANGE}"/>${label(372, 58, `lesions, ECE ${calibration.lesions.ece?.toFixed(3) ?? '–'}`)}`,
  ];
  return svg(540, 345, 'Reliability diagram', body.join(''));
}

/** Counts as a table of squares whose depth is the part of the row; rows are the truth. */
export function confusionPlot(
  confusion: readonly (readonly number[])[],
  rowNames: string,
  columnNames: string,
): string {
  const names = ['none', ...LABELS.map(({ name }) => (name === 'Pneumocranium' ? 'Pneumo.' : name))];
  const [left, top, cell] = [90, 60, 52];
  const body = names.flatMap((rowName, row) => {
    const counts = confusion[row] ?? [];
    const sum = counts.reduce((total, count) => total + count, 0);
    if (sum === 0) return [label(left - 8, top + row * cell + cell / 2 + 4, rowName, 'end')];
    return [
      label(left - 8, top + row * cell + cell / 2 + 4, rowName, 'end'),
      ...counts.map((count, column) => {
        const share = count / sum;
        const [x, y] = [left + column * cell, top + row * cell];
        const text = share >= 0.005 ? `${Math.round(100 * share)}` : '';
        const color = share > 0.5 ? 'style="fill:#fff"' : '';
        return `<rect x="${x + 1}" y="${y + 1}" width="${cell - 2}" height="${cell - 2}" fill="${BLUE}" fill-opacity="${share.toFixed(3)}" stroke="${GREY}" stroke-opacity="0.4"><title>${count}</title></rect><text x="${x + cell / 2}" y="${y + cell / 2 + 4}" text-anchor="middle" ${color}>${text}</text>`;
      }),
    ];
  });
  const heads = names.map((name, column) => label(left + column * cell + cell / 2, top - 8, name, 'middle'));
  const size = cell * names.length;
  const titles = label(left + size / 2, 16, columnNames, 'middle');
  const side = `<text transform="translate(14 ${top + size / 2}) rotate(-90)" text-anchor="middle">${escapeHtml(rowNames)}</text>`;
  return svg(
    left + size + 10,
    top + size + 10,
    `${rowNames} by ${columnNames}`,
    body.join('') + heads.join('') + titles + side,
  );
}
