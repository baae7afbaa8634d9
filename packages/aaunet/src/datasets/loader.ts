import { empty, type Tensor } from '@aaunet/torch';

import type { SliceRef } from './sampler.js';
import type { SliceCache } from './slice-cache.js';

/** Slices of a batch as they lie on disk: the consumer disposes both tensors. */
export interface RawBatch extends Disposable {
  /** N x 3 x S x S HU, int16: each slice with its neighbours. */
  readonly hu: Tensor;
  /** N x S x S labels of the centre slices, uint8. */
  readonly labels: Tensor;
  readonly slices: readonly SliceRef[];
}

/** Batches that are read ahead: one computed on, these on their way. */
const AHEAD = 3;

/**
 * Batches of the given slices in order, read ahead straight into tensors by libuv's threads, which work while the main
 * thread computes; `pinned` memory goes to a CUDA device without waiting. Leaving the loop early lets reads under way end and frees what they read.
 */
export async function* loadBatches(
  cache: SliceCache,
  batches: readonly (readonly SliceRef[])[],
  options: { readonly pinned?: boolean } = {},
): AsyncGenerator<RawBatch, void, undefined> {
  const underway: Promise<RawBatch>[] = [];
  let next = 0;
  const readAhead = (): void => {
    while (next < batches.length && underway.length < AHEAD) {
      const batch = readBatch(cache, batches[next++]!, options.pinned ?? false);
      // Awaited in its turn; until then a failure must not count as unhandled.
      batch.catch(() => undefined);
      underway.push(batch);
    }
  };
  try {
    readAhead();
    for (let batch = underway.shift(); batch; batch = underway.shift()) {
      readAhead();
      yield await batch;
    }
  } finally {
    for (const result of await Promise.allSettled(underway)) {
      if (result.status === 'fulfilled') result.value[Symbol.dispose]();
    }
  }
}

async function readBatch(cache: SliceCache, slices: readonly SliceRef[], pinned: boolean): Promise<RawBatch> {
  const { size } = cache;
  const hu = empty([slices.length, 3, size, size], { dtype: 'int16', pinned });
  const labels = empty([slices.length, size, size], { dtype: 'uint8', pinned });
  const pixels = size ** 2;
  const huData = hu.data('int16');
  const labelData = labels.data('uint8');
  const reads = slices.flatMap((slice, i) => [
    cache.readTriple(slice.case, slice.slice, huData.subarray(i * 3 * pixels, (i + 1) * 3 * pixels)),
    cache.readLabels(slice.case, slice.slice, labelData.subarray(i * pixels, (i + 1) * pixels)),
  ]);
  const dispose = (): void => {
    hu.dispose();
    labels.dispose();
  };
  try {
    await Promise.all(reads);
  } catch (error) {
    await Promise.allSettled(reads);
    dispose();
    throw error;
  }
  return { hu, labels, slices, [Symbol.dispose]: dispose };
}
