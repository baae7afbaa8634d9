// npm run bench:exported -- RUN: what an exported network loses and how fast it is. Exports a run in each precision, segments the
// test cases of its data set with LibTorch and with ONNX Runtime, prints pooled Dice by type and the median seconds a slice.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';

import { toCanonical, toHuVolume, toLabelVolume } from '@aaunet/imaging';
import { readNiftiFile } from '@aaunet/imaging/node';

import { readDataset } from '../packages/aaunet/dist/datasets/dataset.js';
import { readSplits } from '../packages/aaunet/dist/datasets/splits.js';
import { exportModel } from '../packages/aaunet/dist/export/export-model.js';
import { loadEngine } from '../packages/aaunet/dist/inference/engine.js';
import { DiceAccumulator } from '../packages/aaunet/dist/metrics/dice.js';
import { readRunConfig } from '../packages/aaunet/dist/training/run-folder.js';

const BATCH = 4;

const run = process.argv[2];
if (run === undefined) throw new Error('Expected a run folder, found none: npm run bench:exported -- runs/first');
const dataset = await readDataset((await readRunConfig(run)).data);
const splits = await readSplits(dataset);
const cases = dataset.cases.filter(({ name }) => splits?.test.includes(name));
const names = dataset.annotated;

async function score(model) {
  const engine = await loadEngine(model, { batch: BATCH });
  const dice = new DiceAccumulator(names);
  const seconds = [];
  for (const { name, image, label } of cases) {
    const scan = toCanonical(toHuVolume((await readNiftiFile(image)).volume)).volume;
    const truth = toCanonical(toLabelVolume((await readNiftiFile(label)).volume)).volume;
    let [before, last] = [0, performance.now()];
    const found = await engine.segment(scan, {
      onProgress: (done) => {
        const now = performance.now();
        if (done - before === BATCH) seconds.push((now - last) / 1000 / BATCH);
        [before, last] = [done, now];
      },
    });
    dice.addSlice(name, truth.data, found.data);
  }
  await engine.close();
  const { classes, mean } = dice.finish();
  const median = seconds.sort((a, b) => a - b)[Math.floor(seconds.length / 2)];
  const scores = names.map((name) => classes.find((one) => one.name === name).pooled.dice);
  return { scores: [...scores, mean.pooled.dice], median };
}

const folder = mkdtempSync(join(tmpdir(), 'aaunet-exported-'));
try {
  const rows = [];
  const add = async (title, model, bytes, note) => {
    const { scores, median } = await score(model);
    rows.push([title, ...scores.map((value) => value.toFixed(3)), median.toFixed(3), bytes, note]);
  };
  const { precision } = await readRunConfig(run);
  await add(`LibTorch ${precision}`, run, '', '');
  for (const precision of ['fp32', 'fp16', 'int8']) {
    const out = join(folder, `${precision}.onnx`);
    const { agreement, warnings } = await exportModel(run, { out, precision });
    for (const warning of warnings) console.error(`warning: ${warning}`);
    const apart = `${agreement.largestDifference.toPrecision(2)} of ${agreement.largestLogit.toPrecision(3)}, ${(100 * agreement.sameLabels).toFixed(2)} %`;
    await add(`ONNX ${precision}`, out, (statSync(out).size / 1e6).toFixed(0), apart);
  }
  const header = ['', ...names, 'mean', 's a slice', 'MB', 'logits apart, same labels'];
  const line = (cells) => `| ${cells.join(' | ')} |`;
  console.log([line(header), line(header.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n'));
  console.log(`\nPooled Dice on ${cases.length} test cases of ${dataset.name}.`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
