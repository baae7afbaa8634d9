// What `npm run bench` measures, as data: comparisons, each with its sides.
import { bfloat16On } from '@aaunet/torch';

import { TABLE_I } from '../../packages/aaunet/dist/models/registry.js';

/** The network of the paper is measured at the paper's size, the other eight at a quarter of its pixels. */
const PAPER = { model: 'rsu-sc', size: 512 };
const SIZE = 256;
const BATCH = 2;
/** Rows and columns, and slices of a series, at which cost is plotted. */
const SIDES_OF_IMAGES = [128, 192, 256, 320, 384, 448, 512];
const SERIES = [4, 8, 16, 24, 32];

const ENGINES = { train: ['eager', 'nchw', 'compile'], infer: ['eager', 'nchw', 'compile', 'onnxruntime'] };

/**
 * @param host device, threads, python: where and with what all sides run; `data`: the folder that prepareData has filled;
 * `engines`: those of PyTorch's engines to compare with
 * @returns comparisons in the order in which they are made
 */
export function plan({ device, threads, python, data, engines }) {
  const script = (name, settings) => [
    ...(name.endsWith('.py') ? [python] : [process.execPath]),
    new URL(`../${name}`, import.meta.url).pathname,
    JSON.stringify({ device, threads, ...settings }),
  ];
  // On a CUDA device aaunet records its third step, and steps take milliseconds.
  const rounds = device === 'cpu' ? { warmUps: 1, rounds: 5 } : { warmUps: 3, rounds: 20 };

  /** Ours beside PyTorch's engines. ONNX Runtime has no kernels for bfloat16 on the CPU. */
  const network = (phase, settings) => ({
    id: ['network', phase, settings.model, settings.size, settings.dtype].join('/'),
    group: phase,
    settings,
    ...rounds,
    sides: [
      { name: 'aaunet', command: script('ours/network.mjs', { phase, ...settings }) },
      ...ENGINES[phase]
        .filter((engine) => engines.includes(engine))
        .filter((engine) => engine !== 'onnxruntime' || settings.dtype === 'fp32')
        .map((engine) => ({
          name: engine,
          command: script('peers/network.py', { phase, engine, ...settings }),
        })),
    ],
  });
  // Without instructions for bfloat16 PyTorch emulates it, for minutes a step.
  const emulated = device === 'cpu' && bfloat16On(device) !== 'computed' ? { warmUps: 1, rounds: 2 } : {};
  const paper = ['fp32', 'bf16'].flatMap((dtype) =>
    ['train', 'infer'].map((phase) => ({
      ...network(phase, { ...PAPER, batch: BATCH, dtype, profile: true }),
      ...(dtype === 'bf16' ? emulated : {}),
    })),
  );
  const dtype = device === 'cpu' ? 'fp32' : 'bf16';
  const table = TABLE_I.filter((model) => model !== PAPER.model).flatMap((model) =>
    ['train', 'infer'].map((phase) => network(phase, { model, size: SIZE, batch: BATCH, dtype })),
  );

  const loading = { batch: 8, size: 512, batches: 8, cache: data.cache };
  const peerLoader = (mode) => ({ name: mode, command: script('peers/loader.py', { ...loading, mode }) });
  const loader = [
    { augmented: false, peers: ['reading'] },
    { augmented: true, peers: ['torchvision', 'batched'] },
  ].map(({ augmented, peers }) => ({
    id: `loader/${augmented ? 'augmented' : 'read'}`,
    group: 'loader',
    settings: loading,
    ...rounds,
    sides: [
      { name: 'aaunet', command: script('ours/loader.mjs', { ...loading, augmented }) },
      ...peers.map(peerLoader),
    ],
  }));

  const dicom = data.series.map(({ encoding, folder, slices }) => ({
    id: `dicom/${encoding}`,
    group: 'dicom',
    settings: { encoding, slices },
    ...rounds,
    sides: [
      { name: 'aaunet', command: script('ours/dicom.mjs', { folder }) },
      { name: 'pydicom', command: script('peers/dicom.py', { folder }) },
    ],
  }));

  const scaling = [
    ...SIDES_OF_IMAGES.map((size) => ['train', { size }]),
    ...SIDES_OF_IMAGES.map((size) => ['infer', { size }]),
    ...SERIES.map((slices) => ['series', { size: SIZE, slices }]),
  ].map(([phase, { size, slices }]) => ({
    id: ['scaling', phase, size, slices ?? 1].join('/'),
    group: 'scaling',
    settings: { phase, size, slices: slices ?? 1 },
    warmUps: 1,
    rounds: 3,
    sides: [
      {
        name: 'aaunet',
        command: script(phase === 'series' ? 'ours/series.mjs' : 'ours/network.mjs', {
          phase,
          model: PAPER.model,
          size,
          // Batch norm needs more than one value a channel.
          batch: phase === 'train' ? 2 : 1,
          slices,
          dtype,
          run: data.run,
        }),
      },
    ],
  }));
  return [...paper, ...table, ...loader, ...dicom, ...scaling];
}
