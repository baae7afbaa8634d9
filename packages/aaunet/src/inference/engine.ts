import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';

import {
  CLASS_COUNT,
  classProbabilities,
  LABELS,
  likeliestLabels,
  SquarePlane,
  stackThree,
  windowToInput,
  type HuWindow,
  type Volume,
} from '@aaunet/imaging';

import { unmarkedTypes } from '../datasets/annotation.js';
import { inBatches } from '../datasets/batches.js';
import type { ModelIdentity } from './report.js';
import type { SliceNetwork, SliceNetworkOptions } from './slice-network.js';

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
  close(): Promise<void>;
}

export interface EngineOptions {
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
  readonly batch?: number | undefined;
  /** Also looks at every slice mirrored and takes the mean of both probabilities. */
  readonly flip?: boolean | undefined;
}

/** Loads LibTorch only where a network needs it. */
async function loadNetwork(model: string, options: SliceNetworkOptions): Promise<SliceNetwork> {
  if (model.endsWith('.onnx')) return (await import('./onnx-network.js')).loadOnnxNetwork(model, options);
  return (await import('./torch-network.js')).loadTorchNetwork(model, options);
}

/** Slices of a scan. */
interface SliceBatch {
  /** The input of each network in turn, in its own window. */
  readonly inputs: readonly Float32Array[];
  readonly count: number;
  readonly slices: readonly number[];
}

/** Each row backwards: the slice as in a mirror. */
function mirrored(values: Float32Array, columns: number): Float32Array {
  const result = values.slice();
  for (let row = 0; row < result.length; row += columns) result.subarray(row, row + columns).reverse();
  return result;
}

/** The mean of what the networks say, of the slices and, with `flip`, of their mirror images. */
async function meanProbabilities(
  networks: readonly SliceNetwork[],
  { inputs, count }: SliceBatch,
  { flip, unmarked }: { readonly flip: boolean; readonly unmarked: readonly number[] },
): Promise<Float32Array> {
  const mean = new Float32Array((inputs[0]!.length / 3) * CLASS_COUNT);
  const looks = networks.length * (flip ? 2 : 1);
  for (const [index, network] of networks.entries()) {
    const { size } = network.file;
    const input = inputs[index]!;
    const shape = { count, classes: CLASS_COUNT, pixels: size ** 2, unmarked };
    const add = (probabilities: Float32Array): void => {
      for (let i = 0; i < mean.length; i++) mean[i]! += probabilities[i]! / looks;
    };
    add(classProbabilities(await network.run(input, count), shape));
    if (flip) add(mirrored(classProbabilities(await network.run(mirrored(input, size), count), shape), size));
  }
  return mean;
}

/** Steps of a probability while it is resized: whole numbers, as HU are. */
const FINE = 100;

/**
 * Loads a run folder, a `.safetensors` file of one or an `.onnx` file that `aaunet export` wrote; of several,
 * each of which sees the scan in its own window, the probabilities are averaged.
 *
 * @throws Error if several have inputs of different sizes, or bring slices that are not square into them in different ways.
 */
export async function loadEngine(
  model: string | readonly string[],
  options: EngineOptions = {},
): Promise<SegmentationEngine> {
  const { device = 'cpu', threads, batch = 4, flip = false } = options;
  const networks: SliceNetwork[] = [];
  const close = async (): Promise<void> => {
    for (const network of networks) await network.close();
  };
  try {
    for (const one of typeof model === 'string' ? [model] : model) {
      networks.push(await loadNetwork(one, { device, threads }));
    }
    return engineOf(networks, { batch, flip, close });
  } catch (error) {
    await close();
    throw error;
  }
}

function engineOf(
  networks: readonly SliceNetwork[],
  { batch, flip, close }: { batch: number; flip: boolean; close: () => Promise<void> },
): SegmentationEngine {
  const [first] = networks;
  if (first === undefined) throw new Error('Expected at least one model, found none.');
  const { size, fit } = first.file;
  const other = networks.find(({ file }) => file.size !== size || file.fit !== fit);
  if (other) {
    const [what, found] =
      other.file.size === size
        ? ['way of making slices square', [fit, other.file.fit]]
        : ['input size', [size, other.file.size]];
    throw new Error(
      `Expected models of one ${what} to decide together, found ${found.join(' and ')}; use them one by one.`,
    );
  }

  // What one of them was not taught, none can speak of: the mean would hide it half.
  const unmarked = [...new Set(networks.flatMap(({ file }) => unmarkedTypes(file)))];
  const windowKey = ({ center, width }: HuWindow): string => `${center} ${width}`;
  const shapeOf = (count: number) => ({ count, classes: CLASS_COUNT, pixels: size ** 2 });

  /** Calls `take` with each batch of slices as network input. */
  const forEachBatch = async (
    scan: Volume<Int16Array>,
    plane: SquarePlane,
    { onProgress, signal }: SegmentOptions,
    take: (batch: SliceBatch) => Promise<void>,
  ): Promise<void> => {
    const square = plane.scan(scan);
    const each = 3 * size * size;
    const all = Array.from({ length: scan.slices }, (_, k) => k);
    for (const slices of inBatches(all, batch)) {
      signal?.throwIfAborted();
      const stacks = slices.map((k) => stackThree(square, k));
      const windowed = new Map<string, Float32Array>();
      for (const { file } of networks) {
        if (windowed.has(windowKey(file.window))) continue;
        const input = new Float32Array(slices.length * each);
        for (const [i, stack] of stacks.entries())
          windowToInput(stack, file.window, input.subarray(i * each, (i + 1) * each));
        windowed.set(windowKey(file.window), input);
      }
      const inputs = networks.map(({ file }) => windowed.get(windowKey(file.window))!);
      await take({ inputs, count: slices.length, slices });
      onProgress?.(slices.at(-1)! + 1, scan.slices);
      await setImmediate();
    }
  };

  return {
    identity: identityOf(networks),
    async segment(scan, segmentOptions = {}) {
      const plane = new SquarePlane(scan, size, fit);
      const labels = new Uint8Array(scan.slices * size * size);
      await forEachBatch(scan, plane, segmentOptions, async (part) => {
        const isAlone = networks.length === 1 && !flip;
        const found = isAlone
          ? likeliestLabels(await first.run(part.inputs[0]!, part.count), { ...shapeOf(part.count), unmarked })
          : likeliestLabels(await meanProbabilities(networks, part, { flip, unmarked }), shapeOf(part.count));
        labels.set(found, part.slices[0]! * size * size);
      });
      return plane.sourceLabelMap(labels);
    },
    async segmentWithProbabilities(scan, segmentOptions = {}) {
      const labels = new Uint8Array(scan.slices * size * size);
      const { slices, rows, columns } = scan;
      const maps = LABELS.map(() => new Uint8Array(slices * rows * columns));
      const plane = new SquarePlane(scan, size, fit);
      const pixels = size * size;
      await forEachBatch(scan, plane, segmentOptions, async (part) => {
        const mean = await meanProbabilities(networks, part, { flip, unmarked });
        labels.set(likeliestLabels(mean, shapeOf(part.count)), part.slices[0]! * pixels);
        for (const [i, k] of part.slices.entries()) {
          LABELS.forEach(({ id }, index) => {
            const start = (i * CLASS_COUNT + id) * pixels;
            const fine = Int16Array.from(mean.subarray(start, start + pixels), (p) => Math.round(p * 255 * FINE));
            const own = plane.sourceValues(fine);
            maps[index]!.set(
              Uint8Array.from(own, (value) => Math.round(value / FINE)),
              k * rows * columns,
            );
          });
        }
      });
      return { labels: plane.sourceLabelMap(labels), probabilities: maps.map((data) => ({ ...scan, data })) };
    },
    close,
  };
}

/** What several networks are together: they can speak of the types that all of them were taught. */
function identityOf(networks: readonly SliceNetwork[]): ModelIdentity {
  const [first] = networks;
  return {
    name: networks.map(({ file }) => file.model).join('+'),
    labels: first!.file.annotated.filter((name) => networks.every(({ file }) => file.annotated.includes(name))),
    syntheticWeights: networks.some(({ file }) => file.synthetic),
    approximateHu: networks.some(({ file }) => file.approximateHu),
    sha256:
      networks.length === 1
        ? first!.sha256
        : createHash('sha256')
            .update(networks.map(({ sha256 }) => sha256).join())
            .digest('hex'),
    members: networks.map(({ file, sha256 }) => ({ name: file.model, sha256 })),
  };
}
