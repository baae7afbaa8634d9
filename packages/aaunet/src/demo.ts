// npm run demo: the paper's network from nothing to a segmented DICOM series, on phantoms of a size that fits two cores.
import { access, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';

import { runCli } from './cli/program.js';
import { readDataset } from './datasets/dataset.js';
import { readSplits } from './datasets/splits.js';
import { evaluationSchema } from './metrics/evaluation-report.js';
import { readJson } from './schema-errors.js';

const FOLDER = 'demo';
const DATA = join(FOLDER, 'phantoms');
const RUN = join(FOLDER, 'run');
const PREDICTION = join(FOLDER, 'prediction');
const CASES = 48;
const SIZE = 128;

const started = Date.now();

function say(text: string): void {
  process.stderr.write(`\n${text}\n`);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Runs a command as a user would, and shows it. */
async function aaunet(what: string, ...args: string[]): Promise<void> {
  say(`${what}\n$ aaunet ${args.join(' ')}`);
  const code = await runCli(args, { stdout: process.stdout, stderr: process.stderr });
  if (code !== 0) process.exit(code);
}

say(`aaunet demo: phantoms, training, evaluation and prediction, about a quarter of an hour on two cores.
Everything is written to ${FOLDER}/ and is synthetic; interrupted, it continues where it stopped.`);

if (!(await exists(join(DATA, 'dataset.json')))) {
  await rm(DATA, { recursive: true, force: true });
  await aaunet(
    '1. Make head CTs with known lesions.',
    'synth',
    DATA,
    '--cases',
    String(CASES),
    '--size',
    String(SIZE),
    '--dicom',
  );
}
await aaunet(
  '2. Train the All Attention U-Net.',
  ...['train', DATA, '--out', RUN],
  ...((await exists(join(RUN, 'config.json'))) ? ['--resume'] : ['--config', 'configs/demo.json']),
);
await aaunet('3. Evaluate it on patients it has not seen.', 'evaluate', RUN);

const splits = await readSplits(await readDataset(DATA));
const unseen = splits?.test[0] ?? '';
const series = join(DATA, 'dicom', unseen);
await aaunet(
  `4. Outline the lesions of an unseen patient's DICOM series.`,
  'predict',
  series,
  '--model',
  RUN,
  '--out',
  PREDICTION,
);

const evaluation = await readJson(join(RUN, 'evaluation.json'), evaluationSchema);
const minutes = ((Date.now() - started) / 60_000).toFixed(1);
const file = (path: string): string => relative('.', path).padEnd(52);
process.stdout.write(`
Mean pooled Dice over ${evaluation.mean.pooled.n} types on ${evaluation.caseCount} unseen phantoms: ${(evaluation.mean.pooled.dice ?? NaN).toFixed(3)}   (${minutes} minutes)

Open these:
  ${file(join(PREDICTION, unseen, 'montage.png'))}  every slice with the lesions outlined
  ${file(join(PREDICTION, unseen, 'report.html'))}  volumes in mL, geometry, warnings on one page
  ${file(join(PREDICTION, unseen, 'segmentation.nii.gz'))}  the label map, for 3D Slicer or ITK-SNAP
  ${file(join(PREDICTION, unseen, 'segmentation.dcm'))}  the same as a DICOM Segmentation, for a PACS or OHIF
  ${file(join(PREDICTION, unseen, 'volumes.csv'))}  the volumes as a table
  ${file(join(RUN, 'evaluation.html'))}  all scores on unseen patients, with plots and pictures
  ${file(join(RUN, 'metrics.jsonl'))}  loss and validation of every step
  ${file(join(RUN, 'checkpoints/best.safetensors'))}  the trained weights
The phantoms are synthetic, and so is what the network learned: research use only.
`);
