import { NETWORK_WINDOW } from '@aaunet/imaging';
import { manualSeed } from '@aaunet/torch';

import { buildModel } from '../models/registry.js';
import { saveBest } from '../training/checkpoint.js';
import { writeModelFile } from '../training/model-file.js';

const MODEL = 'resnest14-all-attention';

/** Writes what predicting and exporting read of a run, of a small network for 64x64 pixels that has learned nothing. */
export async function writeUntrainedRun(run: string): Promise<void> {
  manualSeed(0);
  using network = buildModel(MODEL);
  saveBest(run, network, { step: 1, validated: 1, bestDice: 0 });
  await writeModelFile(run, {
    software: 'test',
    model: MODEL,
    annotated: ['ICH'],
    untyped: [],
    window: NETWORK_WINDOW,
    size: 64,
    fit: 'pad',
    precision: 'fp32',
    synthetic: true,
    approximateHu: false,
  });
}
