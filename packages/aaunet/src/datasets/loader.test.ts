import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { memoryStats } from '@aaunet/torch';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { inBatches } from './batches.js';
import { loadBatches } from './loader.js';
import type { SliceRef } from './sampler.js';
import { SliceCache } from './slice-cache.js';

const SIZE = 4;
const SLICES = 12;

let folder: string;
let cache: SliceCache;
let tensorsBefore: number;

/** A case whose slice k is all HU 100 k and all label k % 8. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-loader-'));
  const pixels = SIZE ** 2;
  const hu = Int16Array.from({ length: SLICES * pixels }, (_, i) => 100 * Math.floor(i / pixels));
  await writeFile(join(folder, 'a.i16'), new Uint8Array(hu.buffer));
  await writeFile(
    join(folder, 'a.u8'),
    Uint8Array.from({ length: SLICES * pixels }, (_, i) => Math.floor(i / pixels) % 8),
  );
  cache = new SliceCache(folder, SIZE, [{ name: 'a', counts: Array.from({ length: SLICES }, () => [pixels]) }]);
  tensorsBefore = memoryStats().tensors;
});
afterEach(async () => {
  await cache.close();
  await rm(folder, { recursive: true, force: true });
  expect(memoryStats().tensors).toBe(tensorsBefore);
});

const order = [7, 0, 11, 3, 3, 8, 1, 10, 2, 5, 9];
const refs: SliceRef[] = order.map((slice) => ({ case: 'a', slice }));

describe('loadBatches', () => {
  it('yields the slices in the order asked for, each with its neighbours, the last batch shorter', async () => {
    const seen: number[] = [];
    const sizes: number[] = [];
    for await (using batch of loadBatches(cache, inBatches(refs, 4))) {
      sizes.push(batch.hu.size(0));
      expect(batch.hu.shape).toEqual([batch.slices.length, 3, SIZE, SIZE]);
      const hu = batch.hu.data('int16');
      const labels = batch.labels.data('uint8');
      for (const [i, { slice }] of batch.slices.entries()) {
        seen.push(slice);
        const planes = [0, 1, 2].map((plane) => hu[(i * 3 + plane) * SIZE ** 2]);
        expect(planes).toEqual([Math.max(0, slice - 1), slice, Math.min(SLICES - 1, slice + 1)].map((k) => 100 * k));
        expect(labels[i * SIZE ** 2]).toBe(slice % 8);
      }
    }
    expect(seen).toEqual(order);
    expect(sizes).toEqual([4, 4, 3]);
  });

  it('reads some batches ahead, but not the whole epoch into memory', async () => {
    for await (using batch of loadBatches(cache, inBatches(refs, 1))) {
      expect(batch.slices).toHaveLength(1);
      const batches = (memoryStats().tensors - tensorsBefore) / 2;
      expect(batches).toBeLessThanOrEqual(4);
      if (batch.slices[0] === refs[0]) expect(batches).toBeGreaterThan(1);
    }
  });

  it('frees what it read ahead when the loop is left early', async () => {
    for await (using batch of loadBatches(cache, inBatches(refs, 2))) {
      expect(batch.slices[0]).toBe(refs[0]);
      break;
    }
  });

  it('frees what it read ahead when the loop throws', async () => {
    const loop = async (): Promise<void> => {
      for await (using batch of loadBatches(cache, inBatches(refs, 2))) throw new Error(`step ${batch.slices.length}`);
    };
    await expect(loop()).rejects.toThrow('step 2');
  });

  it('ends in the message of a read that fails, after the batches before it', async () => {
    await truncate(join(folder, 'a.i16'), 8 * SIZE ** 2 * 2);
    const seen: number[] = [];
    const loop = async (): Promise<void> => {
      for await (using batch of loadBatches(cache, inBatches(refs, 1))) seen.push(batch.slices[0]!.slice);
    };
    await expect(loop()).rejects.toThrow(/a\.i16 is shorter than its index says; remove .* and start again/);
    expect(seen).toEqual([]);
  });

  it('hands over the batches before a failing one first', async () => {
    const seen: number[] = [];
    const loop = async (): Promise<void> => {
      for await (using batch of loadBatches(cache, [...inBatches(refs.slice(0, 3), 1), [{ case: 'b', slice: 0 }]]))
        seen.push(batch.slices[0]!.slice);
    };
    await expect(loop()).rejects.toThrow('Expected a case of the data set, found "b"');
    expect(seen).toEqual([7, 0, 11]);
  });
});

describe('inBatches', () => {
  it('cuts without losing or repeating', () => {
    expect(inBatches([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]]);
    expect(inBatches([], 2)).toEqual([]);
  });
});
