import { setImmediate } from 'node:timers/promises';

import type { LabelName } from '@aaunet/imaging';
import { tidy } from '@aaunet/torch';
import type { Layer } from '@aaunet/torch/nn';

import { unmarkedTypes, UNKNOWN_LABEL } from '../datasets/annotation.js';
import { inBatches } from '../datasets/batches.js';
import { loadBatches } from '../datasets/loader.js';
import type { SliceCache } from '../datasets/slice-cache.js';
import { segmentSlices } from '../inference/segment.js';
import { DiceAccumulator, type EmptyConvention, type SegmentationScores } from '../metrics/dice.js';
import type { TrainConfig } from '../training/config.js';

export interface ScoreOptions {
  readonly config: Pick<TrainConfig, 'batch' | 'window' | 'device' | 'precision'>;
  readonly annotated: readonly LabelName[];
  /** Types that a voxel of unknown type may be; voxels of unknown type are not scored. */
  readonly untyped?: readonly LabelName[] | undefined;
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
  const unmarked = unmarkedTypes({ annotated: options.annotated, untyped: options.untyped ?? [] });
  const settings = { ...options.config, unmarked };
  const pixels = cache.size ** 2;
  let done = 0;
  for await (using batch of loadBatches(cache, inBatches(slices, options.config.batch))) {
    options.signal?.throwIfAborted();
    tidy(() => {
      const predicted = segmentSlices(network, batch.hu, settings).data('uint8');
      const truth = batch.labels.data('uint8');
      leaveOutUnknown(truth, predicted);
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

/** Where the truth's type is unknown neither a hit nor a miss can be told: truth and prediction become background there. */
export function leaveOutUnknown(truth: Uint8Array, predicted: Uint8Array): void {
  for (let i = 0; i < truth.length; i++) {
    if (truth[i] === UNKNOWN_LABEL) truth[i] = predicted[i] = 0;
  }
}
