import { CLASS_COUNT, likeliestLabels, type LabelName } from '@aaunet/imaging';
import { noGrad, tidy, type Tensor } from '@aaunet/torch';

import { unmarkedTypes } from '../datasets/annotation.js';
import { inBatches } from '../datasets/batches.js';
import { loadBatches } from '../datasets/loader.js';
import type { SliceRef } from '../datasets/sampler.js';
import type { SliceCache } from '../datasets/slice-cache.js';
import { leaveOutUnknown } from '../evaluation/score.js';
import type { OnnxNetwork } from '../inference/onnx-network.js';
import type { TrainedNetwork } from '../inference/torch-network.js';
import { DiceAccumulator } from '../metrics/dice.js';
import type { RunData } from '../training/run-data.js';
import { windowed } from '../transforms/window.js';
import type { RoundedDice } from './agreement.js';

/** Training slices that the ranges of 8-bit numbers are taken from. */
const CALIBRATION_SLICES = 24;

interface Watched {
  readonly onProgress?: ((what: string, done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

function slicesOf(cache: SliceCache, cases: readonly string[]): SliceRef[] {
  return cases.flatMap((name) => Array.from({ length: cache.sliceCount(name) }, (_, slice) => ({ case: name, slice })));
}

/** So many of a list, from all over it; the whole list where it has no more. */
export function spread<T>(all: readonly T[], most: number): T[] {
  const number = Math.min(most, all.length);
  return Array.from({ length: number }, (_, index) => all[Math.floor((index * all.length) / number)]!);
}

/** Training slices as network input, from all over the training part. */
export async function* calibrationImages(
  { cache, splits }: RunData,
  { file }: TrainedNetwork,
  { onProgress, signal }: Watched,
): AsyncGenerator<Tensor> {
  const all = slicesOf(cache, splits.train);
  const chosen = spread(all, CALIBRATION_SLICES);
  let done = 0;
  for await (using batch of loadBatches(cache, inBatches(chosen, 1))) {
    signal?.throwIfAborted();
    using image = windowed(batch.hu, file.window);
    yield image;
    onProgress?.('calibrate', ++done, chosen.length);
  }
}

/** Mean Dice over the types of the validation cases, as LibTorch segments them in float32 and as the file does. */
export async function measureDice(
  onnx: OnnxNetwork,
  { network, file }: TrainedNetwork,
  { dataset, cache, splits }: RunData,
  { onProgress, signal }: Watched,
): Promise<RoundedDice> {
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
