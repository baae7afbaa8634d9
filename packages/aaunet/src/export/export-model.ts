import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { CLASS_COUNT, likeliestLabels, type LabelName } from '@aaunet/imaging';
import { manualSeed, noGrad, rand, tidy, zeros, type Tensor } from '@aaunet/torch';
import { convolutionInputs, foldBatchNorms, stepsOf, trace, type TracedTensor } from '@aaunet/torch/compile';

import { replaceFile } from '../atomic.js';
import { unmarkedTypes } from '../datasets/annotation.js';
import { inBatches } from '../datasets/batches.js';
import { readDataset, type Dataset } from '../datasets/dataset.js';
import { ensureSplits } from '../datasets/ensure-splits.js';
import { loadBatches } from '../datasets/loader.js';
import type { SliceRef } from '../datasets/sampler.js';
import { openSliceCache, type SliceCache } from '../datasets/slice-cache.js';
import type { Splits } from '../datasets/splits.js';
import { leaveOutUnknown } from '../evaluation/score.js';
import { loadOnnxNetwork, type OnnxNetwork } from '../inference/onnx-network.js';
import { loadTrainedNetwork, type TrainedNetwork } from '../inference/torch-network.js';
import { DiceAccumulator } from '../metrics/dice.js';
import { readRunConfig } from '../training/run-folder.js';
import { windowed } from '../transforms/window.js';
import { SOFTWARE, VERSION } from '../version.js';
import { calibrate } from './calibrate.js';
import { METADATA_KEY, type ExportedModel, type ExportPrecision } from './exported-model.js';
import { encodeOnnx } from './onnx-file.js';
import { GraphBuilder, type QuantizedInput } from './onnx-graph.js';
import { byteLength, type Message } from './protobuf.js';

export interface ExportOptions {
  /** The file, which should end in .onnx. */
  readonly out: string;
  readonly precision?: ExportPrecision | undefined;
  /** Slices at a time that the file insists on; any number where absent. */
  readonly batch?: number | undefined;
  readonly onProgress?: ((what: string, done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ExportResult {
  readonly out: string;
  readonly bytes: number;
  readonly precision: ExportPrecision;
  /** Largest difference of a logit between the file in ONNX Runtime and the network in LibTorch, both on the same images. */
  readonly largestDifference: number;
  /** Mean Dice of the validation cases; of int8 only. */
  readonly dice?: { readonly fp32: number | null; readonly int8: number | null; readonly slices: number } | undefined;
}

/** How far logits may be from LibTorch's, as a part of the largest; 8 bits are judged by Dice. */
const TOLERANCE = { fp32: 1e-4, fp16: 3e-2, int8: Infinity } as const;

/** Training slices that the ranges of 8-bit numbers are taken from. */
const CALIBRATION_SLICES = 24;

/**
 * Writes a trained network as an ONNX file with input `image` (N x 3 x S x S, float32, as imaging's `windowToInput`) and
 * output `logits` (N x 8 x S x S, float32). What `aaunet predict` and the viewer need to know stands in its metadata. ONNX
 * Runtime runs the file and its logits are compared with LibTorch's before it gets its name.
 *
 * @param run a run folder, or a `.safetensors` file with its model.json
 * @throws Error if the file does not compute what the network does, or the data to calibrate on are gone; nothing is written
 */
export async function exportModel(run: string, options: ExportOptions): Promise<ExportResult> {
  const { precision = 'fp32' } = options;
  const trained = await loadTrainedNetwork(run);
  using network = trained.network;
  const { size } = trained.file;
  using traced = noGrad(() => trace((image) => network.forward(image), [zeros([1, 3, size, size])]));
  const own: Tensor[] = [];
  try {
    const steps = noGrad(() =>
      foldBatchNorms(stepsOf(traced), traced.outputs, (tensor) => {
        own.push(tensor);
        return tensor;
      }),
    );
    const write = (file: Message) => (path: string) => writeParts(path, file);
    const encode = (about: ExportedModel['export'], quantized?: ReadonlyMap<TracedTensor, QuantizedInput>): Message => {
      const type = precision === 'fp16' ? 'float16' : 'float32';
      const builder = new GraphBuilder({ type, quantized, batch: options.batch });
      const graph = builder.build(trained.file.model, steps, traced.inputs[0]!, traced.outputs[0]!);
      const description: ExportedModel = { ...trained.file, sha256: trained.sha256, export: about };
      return encodeOnnx(graph, {
        producer: 'aaunet',
        version: VERSION,
        description: describe(trained),
        metadata: { [METADATA_KEY]: JSON.stringify(description) },
      });
    };
    const about = { precision, software: SOFTWARE };
    if (precision === 'int8') {
      return await withTrainingData(run, size, async (data) => {
        const convolutions = convolutionInputs(traced);
        const ranges = await calibrate(
          network,
          { steps, convolutionInputs: convolutions },
          calibrationImages(data, trained, options),
        );
        // Written twice: its own Dice stands in it.
        const dice = await withTemporary(write(encode(about, ranges)), (onnx) =>
          measureDice(onnx, trained, data, options),
        );
        return save(write(encode({ ...about, dice }, ranges)), trained, options, dice);
      });
    }
    return await save(write(encode(about)), trained, options);
  } finally {
    for (const tensor of own) tensor.dispose();
  }
}

function describe({ file }: TrainedNetwork): string {
  const taught = `Outlines ${file.annotated.join(', ')} on head CT; three consecutive slices in, logits of the middle one out.`;
  return `${taught}${file.synthetic ? ' Trained on synthetic images.' : ''} Research use only.`;
}

async function save(
  write: (path: string) => Promise<number>,
  trained: TrainedNetwork,
  { out, precision = 'fp32', batch }: ExportOptions,
  dice?: ExportResult['dice'],
): Promise<ExportResult> {
  let [bytes, difference] = [0, 0];
  await replaceFile(out, async (path) => {
    bytes = await write(path);
    const onnx = await loadOnnxNetwork(path);
    try {
      difference = await compareWithLibTorch(onnx, trained, batch ?? 2, TOLERANCE[precision]);
    } finally {
      await onnx.close();
    }
  });
  return { out, bytes, precision, largestDifference: difference, dice };
}

async function writeParts(path: string, parts: Message): Promise<number> {
  await pipeline(Readable.from(parts), createWriteStream(path));
  return byteLength(parts);
}

async function withTemporary<R>(
  write: (path: string) => Promise<number>,
  body: (onnx: OnnxNetwork) => Promise<R>,
): Promise<R> {
  const folder = await mkdtemp(join(tmpdir(), 'aaunet-export-'));
  try {
    const path = join(folder, 'model.onnx');
    await write(path);
    const onnx = await loadOnnxNetwork(path);
    try {
      return await body(onnx);
    } finally {
      await onnx.close();
    }
  } finally {
    await rm(folder, { force: true, recursive: true });
  }
}

/** The largest difference of a logit. @throws Error if it passes the tolerance or is no number. */
async function compareWithLibTorch(
  onnx: OnnxNetwork,
  { network, file }: TrainedNetwork,
  count: number,
  tolerance: number,
): Promise<number> {
  manualSeed(0);
  using image = rand([count, 3, file.size, file.size]);
  using expected = noGrad(() => network.forward(image));
  const [wanted, found] = [expected.data('float32'), await onnx.run(image.data('float32'), count)];
  let [largest, difference] = [0, 0];
  for (let i = 0; i < wanted.length; i++) {
    largest = Math.max(largest, Math.abs(wanted[i]!));
    const apart = Math.abs(found[i]! - wanted[i]!);
    if (!(apart <= difference)) difference = apart;
  }
  if (!(difference <= tolerance * Math.max(1, largest))) {
    throw new Error(
      `Expected ONNX Runtime to compute what LibTorch does to ${tolerance} of the largest logit (${largest.toPrecision(3)}), found ${difference.toPrecision(3)} apart; nothing was written.`,
    );
  }
  return difference;
}

interface TrainingData {
  readonly dataset: Dataset;
  readonly cache: SliceCache;
  readonly splits: Splits;
}

async function withTrainingData<R>(run: string, size: number, body: (data: TrainingData) => Promise<R>): Promise<R> {
  const config = await readRunConfig(run);
  const dataset = await readDataset(config.data).catch((error: unknown) => {
    throw new Error(
      `Expected the training data of ${run} at ${config.data} to find the ranges of 8-bit numbers, but they cannot be read: ${(error as Error).message}`,
      { cause: error },
    );
  });
  const cache = await openSliceCache(dataset, { size, fallback: run });
  try {
    return await body({ dataset, cache, splits: await ensureSplits(dataset, cache, config.seed) });
  } finally {
    await cache.close();
  }
}

function slicesOf(cache: SliceCache, cases: readonly string[]): SliceRef[] {
  return cases.flatMap((name) => Array.from({ length: cache.sliceCount(name) }, (_, slice) => ({ case: name, slice })));
}

async function* calibrationImages(
  { cache, splits }: TrainingData,
  { file }: TrainedNetwork,
  { onProgress, signal }: ExportOptions,
): AsyncGenerator<Tensor> {
  const all = slicesOf(cache, splits.train);
  const step = Math.max(1, Math.floor(all.length / CALIBRATION_SLICES));
  const chosen = all.filter((_, index) => index % step === 0).slice(0, CALIBRATION_SLICES);
  let done = 0;
  for await (using batch of loadBatches(cache, inBatches(chosen, 1))) {
    signal?.throwIfAborted();
    using image = windowed(batch.hu, file.window);
    yield image;
    onProgress?.('calibrate', ++done, chosen.length);
  }
}

/** Mean Dice over the types of the validation cases, as LibTorch segments them in float32 and as the file does. */
async function measureDice(
  onnx: OnnxNetwork,
  { network, file }: TrainedNetwork,
  { dataset, cache, splits }: TrainingData,
  { onProgress, signal }: ExportOptions,
): Promise<{ fp32: number | null; int8: number | null; slices: number }> {
  const annotated: readonly LabelName[] = dataset.annotated;
  const scores = { fp32: new DiceAccumulator(annotated), int8: new DiceAccumulator(annotated) };
  const slices = slicesOf(cache, splits.val);
  const shape = { count: 1, classes: CLASS_COUNT, pixels: file.size ** 2, unmarked: unmarkedTypes(file) };
  let done = 0;
  for await (using batch of loadBatches(cache, inBatches(slices, 1))) {
    signal?.throwIfAborted();
    using image = windowed(batch.hu, file.window);
    const input = image.data('float32');
    const logits = {
      fp32: tidy(() => noGrad(() => network.forward(image).contiguous().data('float32').slice())),
      int8: await onnx.run(input, 1),
    };
    for (const key of ['fp32', 'int8'] as const) {
      const predicted = likeliestLabels(logits[key], shape);
      const truth = batch.labels.data('uint8').slice();
      leaveOutUnknown(truth, predicted);
      scores[key].addSlice(batch.slices[0]!.case, truth, predicted);
    }
    onProgress?.('measure Dice', ++done, slices.length);
  }
  const mean = (key: 'fp32' | 'int8'): number | null => {
    const { dice } = scores[key].finish().mean.pooled;
    return Number.isFinite(dice) ? dice : null;
  };
  return { fp32: mean('fp32'), int8: mean('int8'), slices: slices.length };
}
