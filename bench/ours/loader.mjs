// An epoch of slices read from the cache and, with `augmented`, windowed and augmented; at the driver's word (see worker.mjs).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { setNumThreads, tidy } from '@aaunet/torch';

import { inBatches } from '../../packages/aaunet/dist/datasets/batches.js';
import { loadBatches } from '../../packages/aaunet/dist/datasets/loader.js';
import { SliceCache } from '../../packages/aaunet/dist/datasets/slice-cache.js';
import { resolveTrainConfig } from '../../packages/aaunet/dist/training/config.js';
import { augment } from '../../packages/aaunet/dist/transforms/augment.js';
import { windowed } from '../../packages/aaunet/dist/transforms/window.js';
import { residentMib, serve } from './worker.mjs';

const { cache: folder, batch, batches, augmented, device, threads } = JSON.parse(process.argv[2]);
setNumThreads(threads);
const baselineMib = residentMib();
const { size, cases } = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'));
const cache = new SliceCache(folder, size, cases);
const all = cases.flatMap(({ name, counts }) => counts.map((_, slice) => ({ case: name, slice })));
const epoch = inBatches(
  Array.from({ length: batch * batches }, (_, i) => all[(i * 7) % all.length]),
  batch,
);
const { augmentation, window } = resolveTrainConfig({ data: folder });

let epochs = 0;
await serve(
  async () => {
    epochs++;
    let done = 0;
    for await (const raw of loadBatches(cache, epoch, { pinned: device !== 'cpu' })) {
      if (augmented)
        tidy(() => {
          const image = windowed(raw.hu.to({ device }), window);
          augment(image, raw.labels.to({ device }), augmentation, `bench ${epochs} ${done}`);
        });
      raw[Symbol.dispose]();
      done++;
    }
  },
  { baselineMib },
);
await cache.close();
