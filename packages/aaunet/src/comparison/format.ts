import { markdownTable } from '../metrics/evaluation-report.js';
import type { ComparedNetwork, ComparedScore, Comparison } from './comparison.js';

export const TABLE_FORMATS = ['md', 'csv', 'latex', 'json'] as const;
export type TableFormat = (typeof TABLE_FORMATS)[number];

/** A comparison as text: Markdown and LaTeX for people, CSV and JSON for programs. The best of each column is bold. */
export function formatComparison(comparison: Comparison, format: TableFormat): string {
  switch (format) {
    case 'md':
      return formatMarkdown(comparison);
    case 'csv':
      return formatCsv(comparison);
    case 'latex':
      return formatLatex(comparison);
    case 'json':
      return JSON.stringify(comparison, null, 2);
  }
}

const NONE = '–';

/** What a row is called: the network, and its run where the network has several. */
function nameOf({ model, run }: ComparedNetwork, { networks }: Comparison): string {
  return networks.filter((other) => other.model === model).length > 1 ? `${model} (${run})` : model;
}

interface Column {
  readonly title: string;
  readonly score: (network: ComparedNetwork) => ComparedScore;
  readonly paper: (network: ComparedNetwork) => number | undefined;
}

const NO_SCORE: ComparedScore = { dice: null, low: null, high: null };

function columnsOf({ types }: Comparison): Column[] {
  return [
    ...types.map((type) => ({
      title: type,
      score: ({ types: scores }: ComparedNetwork) => scores[type] ?? NO_SCORE,
      paper: ({ paper }: ComparedNetwork) => paper?.[type],
    })),
    { title: 'mean', score: ({ mean }) => mean, paper: ({ paper }) => paper?.['mean'] },
  ];
}

/** Column by column, whether a network's score is the best as it is printed: ties are all best. */
function bestOf({ networks }: Comparison, { score }: Column): (network: ComparedNetwork) => boolean {
  const best = Math.max(...networks.map((network) => Number(shown(score(network).dice, '-1'))));
  return (network) => best > 0 && Number(shown(score(network).dice, '-1')) === best;
}

function shown(value: number | null | undefined, none = NONE): string {
  return value === null || value === undefined ? none : value.toFixed(3);
}

function interval({ low, high }: ComparedScore): string {
  return low === null || high === null ? NONE : `${low.toFixed(2)}-${high.toFixed(2)}`;
}

function captionOf({ data, split, size, caseCount, sliceCount, synthetic, networks }: Comparison): string {
  const pixels = size === 'source' ? "the source's own size" : `${size}x${size}`;
  return [
    `Pooled Dice on the ${split} part of ${data}: ${caseCount} cases, ${sliceCount} slices of ${pixels}; bold: the best of a column.`,
    'Brackets: 95 % intervals by bootstrap over patients.',
    ...(networks.some(({ paper }) => paper) ? ["The paper's figures are of its own private data."] : []),
    ...(synthetic ? ['Synthetic data: these scores say nothing about patients.'] : []),
  ].join(' ');
}

function seconds(value: number | null): string {
  return value === null ? NONE : value.toPrecision(2);
}

function formatMarkdown(comparison: Comparison): string {
  const columns = columnsOf(comparison);
  const isBest = columns.map((column) => bestOf(comparison, column));
  const scores = comparison.networks.flatMap((network) => [
    [
      nameOf(network, comparison),
      ...columns.map((column, i) => {
        const text = shown(column.score(network).dice);
        return isBest[i]!(network) ? `**${text}**` : text;
      }),
    ],
    ['', ...columns.map((column) => `[${interval(column.score(network))}]`)],
    ...(network.paper ? [['  in the paper', ...columns.map((column) => shown(column.paper(network)))]] : []),
  ]);
  const costs = comparison.networks.map((network) => [
    nameOf(network, comparison),
    (network.parameters / 1e6).toFixed(2),
    network.gflop.toFixed(0),
    String(network.steps),
    seconds(network.trainSecondsPerImage),
    seconds(network.inferSecondsPerImage),
  ]);
  const costHeader = ['network', 'M parameters', 'GFLOP at 512x512', 'steps', 'train s/image', 'infer s/image'];
  return [
    captionOf(comparison),
    markdownTable(['network', ...columns.map(({ title }) => title)], scores),
    markdownTable(costHeader, costs),
  ].join('\n\n');
}

/** One row a network and column, as spreadsheets and data frames like it. */
function formatCsv(comparison: Comparison): string {
  const cell = (value: string | number | null | undefined): string => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const rows = comparison.networks.flatMap((network) =>
    columnsOf(comparison).map((column) => {
      const { dice, low, high } = column.score(network);
      const { model, run, parameters, gflop, steps, trainSecondsPerImage, inferSecondsPerImage } = network;
      return [
        ...[model, column.title, dice, low, high, column.paper(network)],
        ...[parameters, gflop, steps, trainSecondsPerImage, inferSecondsPerImage, run],
      ];
    }),
  );
  const header = [
    ...['network', 'type', 'pooled_dice', 'low95', 'high95', 'paper_dice'],
    ...['parameters', 'gflop_512', 'steps', 'train_s_per_image', 'infer_s_per_image', 'run'],
  ];
  return [header, ...rows].map((row) => row.map(cell).join(',')).join('\n');
}

const LATEX_SPECIAL: Readonly<Record<string, string>> = {
  '\\': '\\textbackslash{}',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
};

function latexText(text: string): string {
  return text.replace(/[\\~^]|[&%$#_{}]/g, (character) => LATEX_SPECIAL[character] ?? `\\${character}`);
}

/** A `table*` environment for booktabs. */
function formatLatex(comparison: Comparison): string {
  const columns = columnsOf(comparison);
  const isBest = columns.map((column) => bestOf(comparison, column));
  const row = (cells: readonly string[]): string => `${cells.join(' & ')} \\\\`;
  const rows = comparison.networks.flatMap((network) => [
    row([
      latexText(nameOf(network, comparison)),
      ...columns.map((column, i) => {
        const text = shown(column.score(network).dice, '--');
        return isBest[i]!(network) ? `\\textbf{${text}}` : text;
      }),
      (network.parameters / 1e6).toFixed(1),
      network.gflop.toFixed(0),
    ]),
    row([
      '',
      ...columns.map((column) => `{\\scriptsize [${interval(column.score(network)).replace('-', '--')}]}`),
      '',
      '',
    ]),
    ...(network.paper
      ? [row(['\\quad in the paper', ...columns.map((column) => shown(column.paper(network), '--')), '', ''])]
      : []),
  ]);
  return [
    '\\begin{table*}',
    '\\centering',
    `\\caption{${latexText(captionOf(comparison))}}`,
    `\\begin{tabular}{l${'r'.repeat(columns.length + 2)}}`,
    '\\toprule',
    row(['network', ...columns.map(({ title }) => latexText(title)), 'M par.', 'GFLOP']),
    '\\midrule',
    ...rows,
    '\\bottomrule',
    '\\end{tabular}',
    '\\end{table*}',
  ].join('\n');
}
