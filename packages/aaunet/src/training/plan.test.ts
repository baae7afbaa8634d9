import { LABELS } from '@aaunet/imaging';
import { describe, expect, it } from 'vitest';

import type { Dataset } from '../datasets/dataset.js';
import { SliceCache } from '../datasets/slice-cache.js';
import { resolveTrainConfig } from './config.js';
import { planTraining } from './plan.js';

// Types that share slices: how many repeats of a rare one an epoch holds depends on how it is shuffled.
const TYPES_OF_SLICES = [[1, 2], [2, 3], [3, 4], [1, 4], [1], [1], [1], [5, 6], [6, 7], [5], [7, 2], [], [], [], []];
const cases = ['a', 'b'].map((name) => ({
  name,
  counts: TYPES_OF_SLICES.map((types) => Array.from({ length: 8 }, (_, label) => (types.includes(label) ? 5 : 0))),
}));
const dataset: Dataset = {
  folder: 'data',
  name: 'overlapping',
  cases: [],
  labels: LABELS.map(({ id }) => id),
  annotated: LABELS.map(({ name }) => name),
  untyped: [],
  hasUnknown: false,
  synthetic: true,
  approximateHu: false,
};

describe('planTraining', () => {
  it.each([{ batch: 1 }, { batch: 2 }, { batch: 4, stepsPerEpoch: 3 }])(
    'gives every epoch as many steps as it counts on, however its types overlap: %o',
    (over) => {
      const config = resolveTrainConfig({ data: 'data', ...over, sampler: { rareShare: 0.4, emptyShare: 0.2 } });
      const splits = { train: ['a', 'b'], val: [], test: [] };
      const plan = planTraining(config, dataset, new SliceCache('cache', 64, cases), splits);
      const steps = Array.from({ length: 200 }, (_, epoch) => plan.batchesOf(epoch).length);
      expect(new Set(steps)).toEqual(new Set([plan.stepsPerEpoch]));
      expect(new Set(plan.batchesOf(199).map((slices) => slices.length))).toEqual(new Set([config.batch]));
    },
  );
});
