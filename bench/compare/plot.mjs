// Cost against pixels and against slices, each with the straight line that fits best.
import { fitLine, median } from './statistics.mjs';

const [WIDTH, HEIGHT, MARGIN] = [360, 260, 48];
const PANELS = [
  { phase: 'train', title: 'Training step, 2 images', x: 'pixels (thousands)', at: ({ size }) => size ** 2 / 1000 },
  { phase: 'infer', title: 'Inference, 1 image', x: 'pixels (thousands)', at: ({ size }) => size ** 2 / 1000 },
  { phase: 'series', title: 'Segmenting a series', x: 'slices', at: ({ slices }) => slices },
];

/** For each panel with two points or more: its points and line. */
export function scalingPanels(results) {
  return PANELS.map((panel) => {
    const points = results
      .filter(
        ({ group, settings, sides }) => group === 'scaling' && settings.phase === panel.phase && !sides.aaunet.failure,
      )
      .map(({ settings, sides }) => [panel.at(settings), median(sides.aaunet.seconds)]);
    return { ...panel, points, line: fitLine(points) };
  }).filter(({ points }) => points.length > 1);
}

export function scalingPlot(results) {
  const panels = scalingPanels(results);
  const width = Math.max(1, panels.length) * WIDTH;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
${panels.map((panel, i) => `<g transform="translate(${i * WIDTH} 0)">\n${draw(panel)}\n</g>`).join('\n')}
</svg>
`;
}

function draw({ title, x, points, line }) {
  const largest = (index) => Math.max(...points.map((point) => point[index])) * 1.08;
  const [endX, endY] = [largest(0), largest(1)];
  const left = (value) => (MARGIN + (value / endX) * (WIDTH - 1.5 * MARGIN)).toFixed(1);
  const top = (value) => (HEIGHT - MARGIN - (value / endY) * (HEIGHT - 2 * MARGIN)).toFixed(1);
  const text = (content, at, anchor = 'middle') =>
    `<text x="${at[0]}" y="${at[1]}" text-anchor="${anchor}">${content}</text>`;
  const startX = Math.max(0, -line.intercept / line.slope);
  return [
    text(`${title} (R² ${line.r2.toFixed(4)})`, [WIDTH / 2, 24]),
    text(x, [WIDTH / 2, HEIGHT - 10]),
    text('seconds', [MARGIN - 4, MARGIN - 8]),
    `<path d="M${left(0)} ${top(endY)}V${top(0)}H${left(endX)}" fill="none" stroke="black"/>`,
    ...[0.5, 1].map((part) =>
      text(((part * endX) / 1.08).toPrecision(3), [left((part * endX) / 1.08), HEIGHT - MARGIN + 16]),
    ),
    ...[0.5, 1].map((part) =>
      text(((part * endY) / 1.08).toPrecision(2), [MARGIN - 4, top((part * endY) / 1.08)], 'end'),
    ),
    `<path d="M${left(startX)} ${top(line.intercept + line.slope * startX)}L${left(endX)} ${top(line.intercept + line.slope * endX)}" stroke="#888"/>`,
    ...points.map(([a, b]) => `<circle cx="${left(a)}" cy="${top(b)}" r="3.5" fill="#0b62a4"/>`),
  ].join('\n');
}
