// npm run bench:memory: does a training keep its memory? 206 steps of rsu-sc at 64x64, with a validation
// and a checkpoint every 33; exit 1 where it
// holds more tensors after step 200 than after step 2, or resident memory grows by more than 5 % from step 50 to step 200.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { memoryStats } from '@aaunet/torch';

import { writeTinyDataset } from '../packages/aaunet/dist/testing/tiny-dataset.js';
import { resolveTrainConfig } from '../packages/aaunet/dist/training/config.js';
import { train } from '../packages/aaunet/dist/training/train.js';

const [EARLY, LATE] = [2, 200];
const RSS_AT = [50, 100, 150, 200];
const ALLOWED_GROWTH = 0.05;

const folder = mkdtempSync(join(tmpdir(), 'aaunet-memory-'));
const tensors = new Map();
const rss = new Map();
let remaining;
try {
  await writeTinyDataset(join(folder, 'data'));
  const config = resolveTrainConfig({
    data: join(folder, 'data'),
    size: 64,
    batch: 2,
    epochs: 7,
    // Step 200 is then the second of its epoch as step 2 is: as many batches are read ahead.
    stepsPerEpoch: (LATE - EARLY) / 6,
    maxSteps: LATE + 6,
    precision: process.argv[2] ?? 'bf16',
  });
  await train(config, {
    run: join(folder, 'run'),
    onEvent: ({ type, step }) => {
      if (type !== 'step') return;
      tensors.set(step, memoryStats().tensors);
      rss.set(step, process.memoryUsage.rss() / 2 ** 20);
    },
  });
  remaining = memoryStats().tensors;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const growth = rss.get(LATE) / rss.get(RSS_AT[0]) - 1;
console.log(`live tensors after step ${EARLY}: ${tensors.get(EARLY)}, after step ${LATE}: ${tensors.get(LATE)}`);
console.log(`live tensors after the training: ${remaining}`);
for (const step of RSS_AT) console.log(`resident memory after step ${step}: ${rss.get(step).toFixed(0)} MiB`);
console.log(`growth from step ${RSS_AT[0]} to ${LATE}: ${(100 * growth).toFixed(1)} %`);
const isFlat = tensors.get(EARLY) === tensors.get(LATE) && remaining === 0 && growth <= ALLOWED_GROWTH;
console.log(isFlat ? 'flat' : 'NOT flat');
process.exitCode = isFlat ? 0 : 1;
