import { constant, cyclic, type Schedule } from '@aaunet/torch/optim';

import { typeIds, UNKNOWN_LABEL } from '../datasets/annotation.js';
import type { Dataset } from '../datasets/dataset.js';
import { inBatches } from '../datasets/batches.js';
import { sampleEpoch, type SliceRef } from '../datasets/sampler.js';
import type { SliceCache } from '../datasets/slice-cache.js';
import type { Splits } from '../datasets/splits.js';
import type { Progress } from './checkpoint.js';
import { classWeights } from './class-weights.js';
import type { TrainConfig } from './config.js';

/** What a training does when, from its configuration and data alone. */
export interface TrainingPlan {
  totalSteps: number;
  stepsPerEpoch: number;
  schedule: Schedule;
  weights: number[];
  /** As many batches as an epoch has steps. */
  batchesOf: (epoch: number) => SliceRef[][];
  isValidationDue: (progress: Progress) => boolean;
}

export function planTraining(config: TrainConfig, dataset: Dataset, cache: SliceCache, splits: Splits): TrainingPlan {
  const inTraining = new Set(splits.train);
  const counts = cache.cases.filter(({ name }) => inTraining.has(name));
  const types = [...typeIds(dataset.annotated), ...(dataset.untyped.length > 0 ? [UNKNOWN_LABEL] : [])];
  const { batch } = config;
  const sample = (epoch: number, length?: number): SliceRef[] =>
    sampleEpoch(counts, {
      ...config.sampler,
      seed: config.seed,
      epoch,
      types,
      multipleOf: batch,
      length,
    });
  // How many slices the sampler's rules give depends on its shuffle: the first epoch's number holds for all.
  const stepsPerEpoch = config.stepsPerEpoch ?? sample(0).length / batch;
  const totalSteps = Math.min(config.epochs * stepsPerEpoch, config.maxSteps ?? Infinity);
  return {
    totalSteps,
    stepsPerEpoch,
    schedule: scheduleOf(config, totalSteps),
    weights: classWeights(counts, config.classWeights),
    batchesOf: (epoch) => inBatches(sample(epoch, stepsPerEpoch * batch), batch),
    isValidationDue: ({ step, validated }) =>
      splits.val.length > 0 &&
      step > validated &&
      (step === totalSteps || step % (stepsPerEpoch * config.validateEvery) === 0),
  };
}

function scheduleOf({ cycle, learningRate }: TrainConfig, totalSteps: number): Schedule {
  if (cycle.mode === 'constant') return constant(learningRate.max);
  const stepsUp = cycle.stepsUp ?? Math.max(1, Math.round(totalSteps / 20));
  return cyclic({ ...learningRate, mode: cycle.mode, stepsUp, stepsDown: cycle.stepsDown ?? stepsUp });
}

/** What one process computes of a step at a time. */
export interface BatchPart {
  readonly slices: readonly SliceRef[];
  /** Place of the first slice in the batch: random numbers go by it. */
  readonly first: number;
  /** Whether the step's gradients are complete with it. */
  readonly isLast: boolean;
}

/**
 * A process's parts of a batch: the batch is cut into `accumulate` equal passes, and every pass into a part for each process.
 * Which slices meet in a pass does not depend on the number of processes, so neither do batch norm's statistics.
 */
export function partsOf(
  batch: readonly SliceRef[],
  accumulate: number,
  { rank, size }: { readonly rank: number; readonly size: number },
): BatchPart[] {
  const length = batch.length / accumulate;
  return Array.from({ length: accumulate }, (_, pass) => {
    const first = pass * length + Math.floor((rank * length) / size);
    const end = pass * length + Math.floor(((rank + 1) * length) / size);
    return { slices: batch.slice(first, end), first, isLast: pass === accumulate - 1 };
  });
}
