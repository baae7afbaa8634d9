import { setImmediate } from 'node:timers/promises';

import { tidy } from '@aaunet/torch';
import type { Layer } from '@aaunet/torch/nn';

import { inBatches, loadBatches } from '../datasets/loader.js';
import type { SliceCache } from '../datasets/slice-cache.js';
import { segmentSlices } from '../inference/segment.js';
import { DiceAccumulator, type EmptyConvention, type SegmentationScores } from '../metrics/dice.js';
import type { TrainConfig } from '../training/config.js';

export interface ScoreOptions {
  readonly config: Pick<TrainConfig, 'batch' | 'window' | 'device' | 'precision'>;
  readonly annotated: readonly string[];
  readonly empty?: EmptyConvention | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Segments every slice of the cases with a network in inference mode and scores it against the labels. */
export async function scoreCases(
  network: Layer,
  cache: SliceCache,
  cases: readonly string[],
  options: ScoreOptions,
): Promise<SegmentationScores> {
  const slices = cases.flatMap((name) =>
    Array.from({ length: cache.sliceCount(name) }, (_, slice) => ({ case: name, slice })),
  );
  const scores = new DiceAccumulator(options.annotated, options.empty);
  const pixels = cache.size ** 2;
  let done = 0;
  for await (using batch of loadBatches(cache, inBatches(slices, options.config.batch))) {
    options.signal?.throwIfAborted();
    tidy(() => {
      const predicted = segmentSlices(network, batch.hu, options.config).data('uint8');
      const truth = batch.labels.data('uint8');
      for (const [i, slice] of batch.slices.entries()) {
        const part = [i * pixels, (i + 1) * pixels] as const;
        scores.addSlice(slice.case, truth.subarray(...part), predicted.subarray(...part));
      }
    });
    done += batch.slices.length;
    options.onProgress?.(done, slices.length);
    await setImmediate();
  }
  return scores.finish();
}
