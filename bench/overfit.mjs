// npm run bench:overfit: can the network learn at all? Trains rsu-sc, without augmentation, on 8 slices that hold all seven
// types, until it outlines every type with a pooled Dice of 0.95. Exit 1 where 1000 steps do not get there.
// Expect about fifteen minutes on two idle cores. An argument names a data set to take the slices from instead of new phantoms.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';

import { LABELS, NETWORK_WINDOW } from '@aaunet/imaging';
import { fromTypedArray, manualSeed, tidy } from '@aaunet/torch';
import { AdamW, clipGradNorm } from '@aaunet/torch/optim';

import { readDataset } from '../packages/aaunet/dist/datasets/dataset.js';
import { loadBatches } from '../packages/aaunet/dist/datasets/loader.js';
import { openSliceCache } from '../packages/aaunet/dist/datasets/slice-cache.js';
import { mixedPrecision, segmentSlices } from '../packages/aaunet/dist/inference/segment.js';
import { focalLoss } from '../packages/aaunet/dist/losses/focal.js';
import { DiceAccumulator } from '../packages/aaunet/dist/metrics/dice.js';
import { buildModel } from '../packages/aaunet/dist/models/registry.js';
import { synthesize } from '../packages/aaunet/dist/phantom/synthesize.js';
import { windowed } from '../packages/aaunet/dist/transforms/window.js';

const SIZE = 128;
const SLICES = 8;
const STEPS = 1000;
const GOAL = 0.95;
const CHECK_EVERY = 20;
const PEAK_RATE = 1.5e-3;
const WARM_UP = 20;
const COOL = 850;
const SETTINGS = { window: NETWORK_WINDOW, device: 'cpu', precision: 'bf16' };
const names = LABELS.map(({ name }) => name);
const BACKGROUND_WEIGHT = 0.1;
/** Rare types must first be found: until FOUND their weights hold. At OUTLINED every pixel counts the same, or outlines stay too wide. */
const [FOUND, OUTLINED] = [140, 500];

/** Weights of the labels at the start: the types' are inverse to the root of their pixels, the largest type's 1. */
function startWeights(slices) {
  const pixels = LABELS.map(({ id }) => slices.reduce((sum, slice) => sum + slice.pixels[id], 0));
  return [BACKGROUND_WEIGHT, ...pixels.map((count) => Math.sqrt(Math.max(...pixels) / count))];
}

/** From the weights of the start to 1, along a straight line of their logarithms. */
function weightsOf(step, start) {
  const rest = Math.min(1, Math.max(0, (OUTLINED - step) / (OUTLINED - FOUND)));
  return fromTypedArray(
    Float32Array.from(start, (weight) => weight ** rest),
    [start.length],
  );
}

/** For each type the slice with most of its pixels, then the slices with most types. */
function chooseSlices(cases) {
  const all = cases.flatMap(({ name, counts }) => counts.map((pixels, slice) => ({ case: name, slice, pixels })));
  const chosen = [];
  const add = (order) => chosen.push(all.filter((slice) => !chosen.includes(slice)).sort(order)[0]);
  for (const { id } of LABELS) add((a, b) => b.pixels[id] - a.pixels[id]);
  const types = ({ pixels }) => pixels.slice(1).filter((count) => count > 0).length;
  while (chosen.length < SLICES) add((a, b) => types(b) - types(a));
  return chosen;
}

/** Learning rate of a step: up in a straight line, half a cosine down, and a low end. */
function rateOf(step) {
  if (step < WARM_UP) return (PEAK_RATE * (step + 1)) / WARM_UP;
  const position = Math.min(1, (step - WARM_UP) / (COOL - WARM_UP));
  return PEAK_RATE * (0.05 + 0.95 * 0.5 * (1 + Math.cos(Math.PI * position)));
}

const temporary = mkdtempSync(join(tmpdir(), 'aaunet-overfit-'));
const folder = process.argv[2] ?? temporary;
let passed = false;
try {
  if (folder === temporary) await synthesize(folder, { cases: 12, size: SIZE, seed: 3 });
  const cache = await openSliceCache(await readDataset(folder), { size: SIZE });
  const slices = chooseSlices(cache.cases);
  for (const { case: name, slice, pixels } of slices)
    console.log(`${name} slice ${slice}: ${names.map((type, i) => `${type} ${pixels[i + 1]}`).join(', ')}`);
  const weights = startWeights(slices);
  manualSeed(0);
  const network = buildModel('rsu-sc').to({ memoryFormat: 'channels_last' });
  const optimizer = new AdamW(network.namedParameters());
  for await (const batch of loadBatches(cache, [slices])) {
    const image = tidy(() => windowed(batch.hu, SETTINGS.window).contiguous('channels_last'));
    const target = batch.labels.to('int64');
    const started = performance.now();
    let scores;
    let step = 0;
    while (step < STEPS && !passed) {
      const loss = tidy(() => {
        const logits = mixedPrecision('cpu', SETTINGS.precision, () => network.forward(image));
        const loss = focalLoss(logits, target, weightsOf(step, weights));
        loss.backward();
        clipGradNorm(network.parameters(), 1);
        return loss.item();
      });
      optimizer.step(rateOf(step));
      optimizer.zeroGrad();
      step += 1;
      if (step % CHECK_EVERY > 0 && step < STEPS) continue;
      scores = score(network.eval(), batch);
      network.train();
      passed = scores.every(({ dice }) => dice >= GOAL);
      const seconds = (performance.now() - started) / 1000;
      console.error(
        `step ${step}  loss ${loss.toExponential(2)}  ${scores.map(({ dice }) => dice.toFixed(2)).join(' ')}  ${seconds.toFixed(0)} s`,
      );
    }
    console.log(`\n| type | pooled Dice | pixels |\n|---|---:|---:|`);
    for (const { name, dice, n } of scores) console.log(`| ${name} | ${dice.toFixed(3)} | ${n} |`);
    console.log(`\n${passed ? 'reached' : 'did not reach'} ${GOAL} for every type in ${step} steps`);
  }
  await cache.close();
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
process.exitCode = passed ? 0 : 1;

/** Pooled Dice by type in inference mode, as an evaluation would have it. */
function score(network, batch) {
  const dice = new DiceAccumulator(names);
  tidy(() => {
    const predicted = segmentSlices(network, batch.hu, SETTINGS).data('uint8');
    const truth = batch.labels.data('uint8');
    for (const [i, { case: name, slice }] of batch.slices.entries()) {
      const part = [i * SIZE ** 2, (i + 1) * SIZE ** 2];
      dice.addSlice(`${name} ${slice}`, truth.subarray(...part), predicted.subarray(...part));
    }
  });
  return dice.finish().classes.map(({ name, pooled }) => ({ name, dice: pooled.dice, n: pooled.n }));
}
