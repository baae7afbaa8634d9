import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setImmediate } from 'node:timers/promises';

import {
  CLASS_COUNT,
  LABELS,
  resizeSlice,
  resizeVolume,
  restoreLabelMap,
  stackThree,
  type Volume,
} from '@aaunet/imaging';
import { aten, empty, setNumThreads, tidy, type Tensor } from '@aaunet/torch';
import { withoutInitialisation, type Layer } from '@aaunet/torch/nn';

import { unmarkedTypes } from '../datasets/annotation.js';
import { inBatches } from '../datasets/loader.js';
import { chosenCheckpoint } from '../evaluation/evaluate.js';
import { buildModel } from '../models/registry.js';
import { checkpointPath, loadWeights } from '../training/checkpoint.js';
import { readModelFile, type ModelFile } from '../training/run-folder.js';
import type { ModelIdentity } from './report.js';
import { segmentProbabilities, segmentSlices, type SegmentSettings } from './segment.js';

export interface SegmentOptions {
  /** Slices done of all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Labels with the probabilities that they were chosen by. */
export interface ProbableLabels {
  readonly labels: Volume<Uint8Array>;
  /** Of the types 1 to 7 in turn, 0 to 255, at the scan's own size and geometry. */
  readonly probabilities: readonly Volume<Uint8Array>[];
}

/** A loaded network, or several that decide together, ready for scans. */
export interface SegmentationEngine {
  readonly identity: ModelIdentity;
  /** Labels 0 to 7 of a canonical scan (HU; see imaging's `toCanonical`), at the scan's own size and geometry. */
  segment(scan: Volume<Int16Array>, options?: SegmentOptions): Promise<Volume<Uint8Array>>;
  /** The same with probabilities; absent where an engine cannot give them. */
  segmentWithProbabilities?(scan: Volume<Int16Array>, options?: SegmentOptions): Promise<ProbableLabels>;
  close(): void;
}

export interface EngineOptions {
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
  readonly batch?: number | undefined;
  /** Also looks at every slice mirrored and takes the mean of both probabilities. */
  readonly flip?: boolean | undefined;
}

/** A network with what it needs to look at slices. */
interface LoadedNetwork {
  readonly file: ModelFile;
  readonly sha256: string;
  readonly network: Layer;
  readonly settings: SegmentSettings;
}

async function loadNetwork(model: string, device: string): Promise<LoadedNetwork> {
  const { folder, weights } = locate(model);
  const file = await readModelFile(folder);
  const sha256 = await hashOf(weights);
  const network = withoutInitialisation(() => buildModel(file.model)).eval();
  loadWeights(weights, network);
  network.to({ device, memoryFormat: 'channels_last' });
  const settings = { window: file.window, device, precision: file.precision, unmarked: unmarkedTypes(file) };
  return { file, sha256, network, settings };
}

/** Probabilities and labels of a batch at the network's size: the mean over the networks. */
function decide(networks: readonly LoadedNetwork[], hu: Tensor, flip: boolean): { labels: Uint8Array; mean: Tensor } {
  const all = networks.map(({ network, settings }) => segmentProbabilities(network, hu, settings, flip));
  const mean = all
    .slice(1)
    .reduce((sum, one) => sum.add(one), all[0]!)
    .mul(1 / all.length);
  return { labels: aten.argmax(mean, 1).to('uint8').contiguous().data('uint8'), mean };
}

/** Steps of a probability while it is resized: whole numbers, as HU are. */
const FINE = 100;

/**
 * Loads a run folder or a `.safetensors` file with its model.json beside it; of several the probabilities are averaged.
 *
 * @throws Error if several have inputs of different sizes.
 */
export async function loadEngine(
  model: string | readonly string[],
  options: EngineOptions = {},
): Promise<SegmentationEngine> {
  const { device = 'cpu', threads, batch = 4, flip = false } = options;
  if (threads !== undefined) setNumThreads(threads);
  const networks: LoadedNetwork[] = [];
  for (const one of typeof model === 'string' ? [model] : model) networks.push(await loadNetwork(one, device));
  const [first] = networks;
  if (first === undefined) throw new Error('Expected at least one model, found none.');
  const { size } = first.file;
  const other = networks.find(({ file }) => file.size !== size);
  if (other) {
    throw new Error(
      `Expected models of one input size to decide together, found ${size} and ${other.file.size}; use them one by one.`,
    );
  }

  /** Calls `take` with each batch of slices as network input. */
  const forEachBatch = async (
    scan: Volume<Int16Array>,
    { onProgress, signal }: SegmentOptions,
    take: (hu: Tensor, slices: readonly number[]) => void,
  ): Promise<void> => {
    const resized = resizeVolume(scan, { rows: size, columns: size });
    const slices = Array.from({ length: scan.slices }, (_, k) => k);
    for (const part of inBatches(slices, batch)) {
      signal?.throwIfAborted();
      tidy(() => {
        const hu = empty([part.length, 3, size, size], { dtype: 'int16' });
        const data = hu.data('int16');
        for (const [i, k] of part.entries()) data.set(stackThree(resized, k), i * 3 * size * size);
        take(hu, part);
      });
      onProgress?.(part.at(-1)! + 1, scan.slices);
      await setImmediate();
    }
  };

  const atSource = (scan: Volume<Int16Array>, labels: Uint8Array): Volume<Uint8Array> =>
    restoreLabelMap({ ...scan, rows: size, columns: size, data: labels }, scan);

  return {
    identity: identityOf(networks),
    async segment(scan, segmentOptions = {}) {
      const labels = new Uint8Array(scan.slices * size * size);
      await forEachBatch(scan, segmentOptions, (hu, part) => {
        const found =
          networks.length === 1 && !flip
            ? segmentSlices(first.network, hu, first.settings).data('uint8')
            : decide(networks, hu, flip).labels;
        labels.set(found, part[0]! * size * size);
      });
      return atSource(scan, labels);
    },
    async segmentWithProbabilities(scan, segmentOptions = {}) {
      const labels = new Uint8Array(scan.slices * size * size);
      const { slices, rows, columns } = scan;
      const maps = LABELS.map(() => new Uint8Array(slices * rows * columns));
      const plane = size * size;
      await forEachBatch(scan, segmentOptions, (hu, part) => {
        const decided = decide(networks, hu, flip);
        labels.set(decided.labels, part[0]! * plane);
        const mean = decided.mean.data('float32');
        for (const [i, k] of part.entries()) {
          LABELS.forEach(({ id }, index) => {
            const start = (i * CLASS_COUNT + id) * plane;
            const fine = Int16Array.from(mean.subarray(start, start + plane), (p) => Math.round(p * 255 * FINE));
            const own = resizeSlice(fine, { rows: size, columns: size }, { rows, columns });
            maps[index]!.set(
              Uint8Array.from(own, (value) => Math.round(value / FINE)),
              k * rows * columns,
            );
          });
        }
      });
      return { labels: atSource(scan, labels), probabilities: maps.map((data) => ({ ...scan, data })) };
    },
    close() {
      for (const { network } of networks) network[Symbol.dispose]();
    },
  };
}

/** What several networks are together: they can speak of the types that all of them were taught. */
function identityOf(networks: readonly LoadedNetwork[]): ModelIdentity {
  const [first] = networks;
  return {
    name: networks.map(({ file }) => file.model).join('+'),
    labels: first!.file.annotated.filter((name) => networks.every(({ file }) => file.annotated.includes(name))),
    syntheticWeights: networks.some(({ file }) => file.synthetic),
    sha256:
      networks.length === 1
        ? first!.sha256
        : createHash('sha256')
            .update(networks.map(({ sha256 }) => sha256).join())
            .digest('hex'),
    members: networks.map(({ file, sha256 }) => ({ name: file.model, sha256 })),
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
