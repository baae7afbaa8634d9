// npm run bench:memory [-- --steps 330 --model rsu-sc --size 64]: does a training keep its memory? It validates and writes a
// checkpoint every 33 steps. From the second epoch on every tenth of the training is compared with the first: exit 1 where one holds
// more tensors at the same place in its epoch, or its resident memory is larger by more than 5 %.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { memoryStats } from '@aaunet/torch';

import { writeTinyDataset } from '../packages/aaunet/dist/testing/tiny-dataset.js';
import { resolveTrainConfig } from '../packages/aaunet/dist/training/config.js';
import { train } from '../packages/aaunet/dist/training/train.js';

const STEPS_PER_EPOCH = 33;
/** Counted from 0 in its epoch: as many batches are read ahead in each. */
const PLACE = 2;
const ALLOWED_GROWTH = 0.05;

const { values: options } = parseArgs({
  options: {
    steps: { type: 'string', default: '330' },
    model: { type: 'string', default: 'rsu-sc' },
    size: { type: 'string', default: '64' },
  },
});
const { model } = options;
const size = Number(options.size);
const epochs = Math.ceil(Number(options.steps) / STEPS_PER_EPOCH);
const folder = mkdtempSync(join(tmpdir(), 'aaunet-memory-'));
const samples = [];
let remaining;
try {
  await writeTinyDataset(join(folder, 'data'));
  const config = resolveTrainConfig({
    ...{ data: join(folder, 'data'), model, size, batch: 2, epochs, stepsPerEpoch: STEPS_PER_EPOCH },
    precision: 'bf16',
  });
  await train(config, {
    run: join(folder, 'run'),
    onEvent: ({ type, step }) => {
      if (type !== 'step' || step <= STEPS_PER_EPOCH || step % STEPS_PER_EPOCH !== PLACE) return;
      samples.push({ step, tensors: memoryStats().tensors, mib: process.memoryUsage.rss() / 2 ** 20 });
    },
  });
  remaining = memoryStats().tensors;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const [first] = samples;
const shown = samples.filter((_, i) => i % Math.ceil(samples.length / 10) === 0 || i === samples.length - 1);
for (const { step, tensors, mib } of shown)
  console.log(`after step ${step}: ${tensors} tensors, ${mib.toFixed(0)} MiB resident`);
console.log(`after the training: ${remaining} tensors`);
const isFlat =
  remaining === 0 &&
  samples.every(({ tensors, mib }) => tensors === first.tensors && mib <= first.mib * (1 + ALLOWED_GROWTH));
console.log(isFlat ? 'flat' : 'NOT flat');
process.exitCode = isFlat ? 0 : 1;
