import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setImmediate } from 'node:timers/promises';

import { resizeVolume, restoreLabelMap, stackThree, type Volume } from '@aaunet/imaging';
import { empty, setNumThreads, tidy } from '@aaunet/torch';

import { unmarkedTypes } from '../datasets/annotation.js';
import { inBatches } from '../datasets/loader.js';
import { chosenCheckpoint } from '../evaluation/evaluate.js';
import { buildModel } from '../models/registry.js';
import { checkpointPath, loadWeights } from '../training/checkpoint.js';
import { readModelFile } from '../training/run-folder.js';
import type { ModelIdentity } from './report.js';
import { segmentSlices } from './segment.js';

export interface SegmentOptions {
  /** Slices done of all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A loaded network, ready for scans. */
export interface SegmentationEngine {
  readonly identity: ModelIdentity;
  /** Labels 0 to 7 of a canonical scan (HU; see imaging's `toCanonical`), at the scan's own size and geometry. */
  segment(scan: Volume<Int16Array>, options?: SegmentOptions): Promise<Volume<Uint8Array>>;
  close(): void;
}

export interface EngineOptions {
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
  readonly batch?: number | undefined;
}

/** Loads a run folder or a `.safetensors` file with its model.json beside it. */
export async function loadEngine(model: string, options: EngineOptions = {}): Promise<SegmentationEngine> {
  const { device = 'cpu', threads, batch = 4 } = options;
  const { folder, weights } = locate(model);
  const file = await readModelFile(folder);
  const sha256 = await hashOf(weights);
  if (threads !== undefined) setNumThreads(threads);
  const network = buildModel(file.model).eval();
  loadWeights(weights, network);
  network.to({ device, memoryFormat: 'channels_last' });
  const settings = { window: file.window, device, precision: file.precision, unmarked: unmarkedTypes(file) };
  const { size } = file;

  return {
    identity: { name: file.model, labels: file.annotated, syntheticWeights: file.synthetic, sha256 },
    async segment(scan, { onProgress, signal } = {}) {
      const resized = resizeVolume(scan, { rows: size, columns: size });
      const labels = new Uint8Array(scan.slices * size * size);
      const slices = Array.from({ length: scan.slices }, (_, k) => k);
      for (const part of inBatches(slices, batch)) {
        signal?.throwIfAborted();
        tidy(() => {
          const hu = empty([part.length, 3, size, size], { dtype: 'int16' });
          const data = hu.data('int16');
          for (const [i, k] of part.entries()) data.set(stackThree(resized, k), i * 3 * size * size);
          labels.set(segmentSlices(network, hu, settings).data('uint8'), part[0]! * size * size);
        });
        onProgress?.(part.at(-1)! + 1, scan.slices);
        await setImmediate();
      }
      return restoreLabelMap({ ...resized, data: labels }, scan);
    },
    close() {
      network[Symbol.dispose]();
    },
  };
}

/** The weights file of `model`, and the folder with its model.json. */
function locate(model: string): { folder: string; weights: string } {
  const found = statSync(model, { throwIfNoEntry: false });
  if (found?.isDirectory()) return { folder: model, weights: checkpointPath(model, chosenCheckpoint(model)) };
  if (found?.isFile() && model.endsWith('.safetensors')) return { folder: dirname(model), weights: model };
  throw new Error(
    `Expected --model to be a run folder or a .safetensors file with its model.json beside it, found ${model}.`,
  );
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
