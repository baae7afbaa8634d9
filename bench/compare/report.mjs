// bench/REPORT.md from the results of the comparisons.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';

import { bfloat16On, libtorchInfo } from '@aaunet/torch';

import { scalingPanels } from './plot.mjs';
import { median } from './statistics.mjs';

const SHOWN_OPERATORS = 15;
const PEERS = { eager: 'PyTorch eager', nchw: 'eager, NCHW', compile: 'torch.compile', onnxruntime: 'ONNX Runtime' };

function table(header, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const rule = header.map((_, i) => (i === 0 ? '---' : '---:'));
  return [line(header), line(rule), ...rows.map(line)].join('\n');
}

/** What a cell shows of one side: its figure, why it has none, or that it was not measured. */
function cell(side, figure) {
  if (!side) return '–';
  return side.failure ? 'failed' : figure(side);
}

const seconds = (side, per) => cell(side, () => (median(side.seconds) / per).toPrecision(3));

/** Ours divided by the best of the others. */
function ratio({ aaunet, ...others }, figure) {
  const best = Math.min(...Object.values(others).flatMap((side) => (side.failure ? [] : [figure(side)])));
  return aaunet.failure || !Number.isFinite(best) ? '–' : `${(figure(aaunet) / best).toFixed(2)}`;
}

const medianOf = (side) => median(side.seconds);
const addedMib = ({ peakMib, baselineMib }) => peakMib - baselineMib;

function networkRows(results, engines, render) {
  return results.map(({ settings, sides }) => [
    settings.model,
    `${settings.size}²`,
    settings.dtype,
    ...['aaunet', ...engines].map((name) => render(sides[name], settings)),
  ]);
}

function networkTables(results) {
  const of = (group) => results.filter((result) => result.group === group);
  const parts = [];
  for (const [group, title, engines] of [
    ['train', 'Training step', ['eager', 'nchw', 'compile']],
    ['infer', 'Inference', ['eager', 'nchw', 'compile', 'onnxruntime']],
  ]) {
    const header = ['network', 'image', 'precision', 'aaunet', ...engines.map((name) => PEERS[name])];
    const rows = networkRows(of(group), engines, (side, { batch }) => seconds(side, batch));
    const ratios = of(group).map(({ sides }) => ratio(sides, medianOf));
    parts.push(
      `## ${title}: seconds an image`,
      table(
        [...header, 'ratio'],
        rows.map((row, i) => [...row, ratios[i]]),
      ),
    );
    if (group !== 'train') continue;
    const memory = networkRows(of(group), engines, (side) =>
      cell(side, () => `${addedMib(side).toFixed(0)} (${side.peakMib.toFixed(0)} − ${side.baselineMib.toFixed(0)})`),
    );
    const saved = of(group).map(({ sides: { aaunet, eager } }) => ratio({ aaunet, ...(eager && { eager }) }, addedMib));
    parts.push(
      '## Training step: peak memory, MiB',
      "Resident memory at its highest in a process that does nothing else, less what it held with its libraries loaded and no network built. torch.compile works in the process that it compiles in, so its peak is the compiler's where that needs more; the ratio is to PyTorch eager.",
      table(
        [...header, 'ratio'],
        memory.map((row, i) => [...row, saved[i]]),
      ),
    );
  }
  return parts;
}

function loaderTable(results) {
  const rows = results.map(({ id, settings, sides }) => {
    const slices = settings.batch * settings.batches;
    const peers = Object.keys(sides).filter((name) => name !== 'aaunet');
    return [
      id === 'loader/read' ? 'reading' : 'reading, window, augmentation',
      cell(sides.aaunet, () => ((1000 * medianOf(sides.aaunet)) / slices).toFixed(2)),
      peers
        .map((name) => `${name} ${cell(sides[name], (side) => ((1000 * medianOf(side)) / slices).toFixed(2))}`)
        .join(', '),
      ratio(sides, medianOf),
    ];
  });
  return [
    '## Loader and augmentation: milliseconds a slice',
    'Three slices of 512² HU and a label map each, in batches of 8, from files in the page cache. The DataLoader has two workers; "torchvision" augments slice by slice in them as is customary, "batched" augments whole batches with grid_sample as aaunet does.',
    table(['work', 'aaunet', 'DataLoader', 'ratio'], rows),
  ];
}

function dicomTable(results) {
  const rows = results.map(({ settings, sides }) => [
    settings.encoding,
    ...['aaunet', 'pydicom'].map((name) =>
      cell(sides[name], (side) => ((1000 * medianOf(side)) / settings.slices).toFixed(2)),
    ),
    ratio(sides, medianOf),
  ]);
  return [
    '## Reading DICOM: milliseconds a slice of 512²',
    table(['encoding', 'aaunet', 'pydicom + NumPy', 'ratio'], rows),
  ];
}

function scalingPart(results) {
  const rows = scalingPanels(results).map(({ title, x, points, line }) => [
    title,
    points.map(([a, b]) => `${Number(a.toPrecision(3))}: ${b.toPrecision(3)}`).join(', '),
    line.r2.toFixed(4),
    x,
  ]);
  return [
    '## Cost against pixels and slices',
    '`rsu-sc`, seconds. ![Seconds against pixels and slices, with straight lines](scaling.svg)',
    table(['', 'seconds at', 'R² of a straight line', 'unit'], rows),
  ];
}

function profiles(results) {
  return results.flatMap(({ id, sides }) => {
    const rows = sides.aaunet?.profile;
    if (!rows) return [];
    const total = rows.reduce((sum, row) => sum + row.seconds, 0);
    const shown = rows.slice(0, SHOWN_OPERATORS);
    return [
      `### ${id}`,
      table(
        ['operator', 'calls', 'ms', '%'],
        shown.map(({ name, calls, seconds }) => [
          `\`${name}\``,
          calls,
          (1000 * seconds).toFixed(0),
          ((100 * seconds) / total).toFixed(1),
        ]),
      ),
    ];
  });
}

function failures(results) {
  return results.flatMap(({ id, sides }) =>
    Object.entries(sides).flatMap(([name, { failure }]) => (failure ? [`- ${id}, ${name}: ${failure}`] : [])),
  );
}

/** Instruction sets that decide over the speed of convolutions. */
function instructionSets() {
  const flags = new Set(
    readFileSync('/proc/cpuinfo', 'utf8')
      .match(/^flags.*$/m)?.[0]
      .split(' ') ?? [],
  );
  return ['avx2', 'avx512f', 'avx512_bf16', 'amx_bf16'].filter((flag) => flags.has(flag)).join(', ');
}

function machine({ device, versions }) {
  const gpu = () =>
    execFileSync('nvidia-smi', ['--query-gpu=name', '--format=csv,noheader'], { encoding: 'utf8' }).trim();
  const { libtorch } = libtorchInfo();
  return [
    `- Processor: ${cpus()[0].model}, ${availableParallelism()} cores; ${instructionSets()}; ${Math.round(totalmem() / 2 ** 30)} GiB of memory`,
    ...(device === 'cuda' ? [`- GPU: ${gpu()}`] : []),
    ...(bfloat16On(device) !== 'computed'
      ? [
          '- This processor has no instructions for bfloat16: where bf16 is asked for, aaunet keeps tensors of a training step in bfloat16 and computes convolutions in float32, infers in float32, and PyTorch emulates bfloat16 (two rounds).',
        ]
      : []),
    `- aaunet: Node ${process.version.slice(1)}, LibTorch ${libtorch}`,
    `- Peers: ${versions}`,
  ];
}

export function report(results, { versions, device, missing }) {
  const of = (group) => results.filter((result) => result.group === group);
  const dates = results.map(({ date }) => date).sort();
  const loads = results.map(({ load }) => load);
  const failed = failures(results);
  const parts = [
    '# Benchmarks: results',
    'Written by `npm run bench`; see README.md.',
    [
      ...machine({ device, versions }),
      `- Measured from ${dates[0]} to ${dates.at(-1)}; load average ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}`,
      ...(missing > 0 ? [`- ${missing} comparisons have not been made.`] : []),
    ].join('\n'),
    'Every comparison\'s sides run in turn (A B C A B C …), each in a process of its own; figures are medians of the rounds. "ratio" is aaunet\'s figure divided by the best of the others: below 1, aaunet is faster or smaller. "–" has not been measured.',
    ...networkTables(results),
    ...(of('loader').length > 0 ? loaderTable(of('loader')) : []),
    ...(of('dicom').length > 0 ? dicomTable(of('dicom')) : []),
    ...(of('scaling').length > 0 ? scalingPart(of('scaling')) : []),
    '## Where the time goes',
    'One step of aaunet, the operators that take longest.',
    ...profiles(results),
    ...(failed.length > 0 ? ['## What failed', failed.join('\n')] : []),
  ];
  return `${parts.join('\n\n')}\n`;
}
