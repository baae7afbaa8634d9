// npm run bench:exported -- RUN [FILE.onnx...]: what an exported network loses and how fast it is. Exports a run in each precision
// (or takes files exported before), segments the test cases of its data set with LibTorch and with ONNX Runtime, and prints pooled
// Dice by type and the median seconds a slice. Case by case all take their turn, so that other work on the machine slows them alike.
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';

import { toCanonical, toHuVolume, toLabelVolume } from '@aaunet/imaging';
import { readNiftiFile } from '@aaunet/imaging/node';

import { readDataset } from '../packages/aaunet/dist/datasets/dataset.js';
import { readSplits } from '../packages/aaunet/dist/datasets/splits.js';
import { exportModel } from '../packages/aaunet/dist/export/export-model.js';
import { readExportedModel } from '../packages/aaunet/dist/export/exported-model.js';
import { loadEngine } from '../packages/aaunet/dist/inference/engine.js';
import { DiceAccumulator } from '../packages/aaunet/dist/metrics/dice.js';
import { readRunConfig } from '../packages/aaunet/dist/training/run-folder.js';

const BATCH = 4;

const run = process.argv[2];
if (run === undefined) throw new Error('Expected a run folder, found none: npm run bench:exported -- runs/first');
const { data, precision } = await readRunConfig(run);
const dataset = await readDataset(data);
const splits = await readSplits(dataset);
const cases = dataset.cases.filter(({ name }) => splits?.test.includes(name));
const names = dataset.annotated;

/** Segments a case and adds it to a model's scores. */
async function segment({ engine, dice, seconds }, { name, image, label }) {
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

const folder = mkdtempSync(join(tmpdir(), 'aaunet-exported-'));
const models = [];
try {
  const files = process.argv.slice(3);
  if (files.length === 0) {
    for (const precision of ['fp32', 'fp16', 'int8']) {
      const out = join(folder, `${precision}.onnx`);
      const { warnings } = await exportModel(run, { out, precision });
      for (const warning of warnings) console.error(`warning: ${warning}`);
      files.push(out);
    }
  }
  for (const file of [run, ...files]) {
    const engine = await loadEngine(file, { batch: BATCH });
    const isRun = file === run;
    const title = isRun
      ? `LibTorch ${precision}`
      : `ONNX ${readExportedModel(readFileSync(file), file).export.precision}`;
    const megabytes = isRun ? '' : (statSync(file).size / 1e6).toFixed(0);
    models.push({ title, megabytes, engine, dice: new DiceAccumulator(names), seconds: [] });
  }
  for (const one of cases) for (const model of models) await segment(model, one);
  const rows = models.map(({ title, megabytes, dice, seconds }) => {
    const { classes, mean } = dice.finish();
    const median = seconds.sort((a, b) => a - b)[Math.floor(seconds.length / 2)];
    const scores = names.map((name) => classes.find((one) => one.name === name).pooled.dice);
    return [title, ...[...scores, mean.pooled.dice, median].map((value) => value.toFixed(3)), megabytes];
  });
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const header = ['', ...names, 'mean', 's a slice', 'MB'];
  console.log([line(header), line(header.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n'));
  console.log(`\nPooled Dice on ${cases.length} test cases of ${dataset.name}.`);
} finally {
  for (const { engine } of models) await engine.close();
  rmSync(folder, { recursive: true, force: true });
}
