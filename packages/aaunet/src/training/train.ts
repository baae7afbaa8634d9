import { setImmediate } from 'node:timers/promises';

import { manualSeed, setNumThreads, tidy, type Tensor } from '@aaunet/torch';
import type { Layer } from '@aaunet/torch/nn';
import { AdamW, clipGradNorm, constant, cyclic, type Schedule } from '@aaunet/torch/optim';

import { typeIds, UNKNOWN_LABEL } from '../datasets/annotation.js';
import { readDataset, type Dataset } from '../datasets/dataset.js';
import { inBatches, loadBatches } from '../datasets/loader.js';
import { sampleEpoch, type SliceRef } from '../datasets/sampler.js';
import { openSliceCache, type SliceCache } from '../datasets/slice-cache.js';
import { ensureSplits } from '../datasets/ensure-splits.js';
import type { Splits } from '../datasets/splits.js';
import { scoreCases } from '../evaluation/score.js';
import { mixedPrecision } from '../inference/segment.js';
import { focalCriterion, type Criterion } from '../losses/partial-focal.js';
import { buildModel } from '../models/registry.js';
import { augment } from '../transforms/augment.js';
import { windowed } from '../transforms/window.js';
import { SOFTWARE } from '../version.js';
import { locateWeights } from '../weights/hub.js';
import { describeWeights, loadWeights } from '../weights/load-weights.js';
import { hasCheckpoint, loadLast, saveBest, saveLast, type Progress } from './checkpoint.js';
import { classWeights } from './class-weights.js';
import { changedKeys, type TrainConfig } from './config.js';
import { MetricsLog } from './metrics-log.js';
import { readRunConfig, startRun, writeModelFile } from './run-folder.js';

/** What happens during a training, in order of occurrence. */
export type TrainEvent =
  | { readonly type: 'prepare'; readonly done: number; readonly total: number }
  /** Weights to start from are fetched; in bytes. */
  | { readonly type: 'download'; readonly done: number; readonly total: number }
  | { readonly type: 'start'; readonly step: number; readonly totalSteps: number; readonly resumed: boolean }
  | {
      readonly type: 'step';
      readonly step: number;
      readonly epoch: number;
      readonly loss: number;
      readonly learningRate: number;
      readonly secondsPerStep: number;
    }
  | {
      readonly type: 'validation';
      readonly step: number;
      readonly epoch: number;
      readonly meanDice: number;
      readonly best: boolean;
    }
  | { readonly type: 'message'; readonly text: string };

export interface TrainOptions {
  /** Run folder, made if needed. */
  readonly run: string;
  /** Continues from the last checkpoint of the run folder. */
  readonly resume?: boolean | undefined;
  readonly onEvent?: ((event: TrainEvent) => void) | undefined;
  /** Stops after the current step, with a checkpoint. */
  readonly signal?: AbortSignal | undefined;
}

export interface TrainResult {
  readonly run: string;
  readonly steps: number;
  /** Best mean validation Dice over the annotated types; NaN if none was computed. */
  readonly bestDice: number;
  /** True where `signal` ended the training early. */
  readonly interrupted: boolean;
}

/** A checkpoint is written at the end of each epoch, and within long ones after so many seconds. */
const CHECKPOINT_SECONDS = 600;

/**
 * Trains a network as `config` says (Chang et al. 2022, section III) and leaves in the run folder what repeats, continues,
 * evaluates and uses it. Random numbers depend on the seed and the step alone, so a resumed training continues the very same
 * sequence of losses.
 *
 * @throws Error of one sentence if data, configuration or checkpoint do not fit, or the loss is no longer a number; the last
 * good checkpoint stays.
 */
export async function train(config: TrainConfig, options: TrainOptions): Promise<TrainResult> {
  const { run, signal } = options;
  const emit = options.onEvent ?? (() => undefined);
  const stopped = (): boolean => signal?.aborted === true;
  const resumed = options.resume === true && hasCheckpoint(run);
  if (!options.resume && hasCheckpoint(run))
    throw new Error(`${run} already holds a training; continue it with --resume or name another folder with --out.`);
  if (config.threads !== null) setNumThreads(config.threads);

  const dataset = await readDataset(config.data);
  const cache = await openSliceCache(dataset, {
    size: config.size,
    fallback: run,
    onProgress: (done, total) => {
      emit({ type: 'prepare', done, total });
    },
    signal,
  });
  try {
    const splits = await ensureSplits(dataset, cache, config.seed);
    const plan = planTraining(config, dataset, cache, splits);
    const complete = { ...config, classWeights: { ...config.classWeights, values: plan.weights } };
    if (resumed) await checkSameRun(run, complete);
    await startRun(run, complete);
    await writeModelFile(run, {
      software: SOFTWARE,
      model: config.model,
      annotated: [...dataset.annotated],
      untyped: [...dataset.untyped],
      window: config.window,
      size: config.size,
      precision: config.precision,
      synthetic: dataset.synthetic,
    });

    manualSeed(config.seed);
    using network = buildModel(config.model);
    if (config.init !== null && !resumed) {
      const onProgress = (done: number, total: number): void => {
        emit({ type: 'download', done, total });
      };
      const path = await locateWeights(config.init, { onProgress, signal });
      emit({ type: 'message', text: describeWeights(config.init, loadWeights(network, path)) });
    }
    network.to({ device: config.device, memoryFormat: 'channels_last' });
    using optimizer = new AdamW(network.namedParameters(), config.optimizer);
    using criterion = focalCriterion(dataset, plan.weights, { gamma: config.loss.focalGamma, device: config.device });

    let progress: Progress = resumed ? loadLast(run, network, optimizer) : { step: 0, validated: 0, bestDice: NaN };
    using log = await MetricsLog.open(run, progress);
    emit({ type: 'start', step: progress.step, totalSteps: plan.totalSteps, resumed });
    let lastSaved = Date.now();
    const save = (): void => {
      saveLast(run, network, optimizer, progress);
      lastSaved = Date.now();
    };

    const isUnfinished = (): boolean => progress.step < plan.totalSteps || plan.isValidationDue(progress);
    while (isUnfinished() && !stopped()) {
      if (plan.isValidationDue(progress)) {
        const epoch = Math.ceil(progress.step / plan.stepsPerEpoch) - 1;
        const { annotated, untyped } = dataset;
        const scores = await scoreCases(network.eval(), cache, splits.val, { config, annotated, untyped });
        const meanDice = scores.mean.pooled.dice;
        const best = !Number.isNaN(meanDice) && !(progress.bestDice >= meanDice);
        progress = { ...progress, validated: progress.step, ...(best && { bestDice: meanDice }) };
        if (best) saveBest(run, network, progress);
        const dice = Object.fromEntries(scores.classes.map(({ name, pooled }) => [name, orNull(pooled.dice)]));
        log.write({ type: 'validation', step: progress.step, epoch, meanDice: orNull(meanDice), dice });
        emit({ type: 'validation', step: progress.step, epoch, meanDice, best });
        save();
        continue;
      }
      const epoch = Math.floor(progress.step / plan.stepsPerEpoch);
      const batches = plan
        .batchesOf(epoch)
        .slice(progress.step % plan.stepsPerEpoch, plan.totalSteps - epoch * plan.stepsPerEpoch);
      network.train();
      let waitingSince = performance.now();
      for await (using batch of loadBatches(cache, batches)) {
        const started = performance.now();
        const learningRate = plan.schedule(progress.step);
        const { image, target } = tidy(() =>
          augment(
            windowed(batch.hu.to({ device: config.device }), config.window),
            batch.labels.to({ device: config.device }),
            config.augmentation,
            `augment ${config.seed} ${progress.step}`,
          ),
        );
        const result = trainStep({ network, optimizer, config, image, target, criterion, learningRate });
        image.dispose();
        target.dispose();
        const broken = (['loss', 'gradientNorm'] as const).find((figure) => !Number.isFinite(result[figure]));
        if (broken)
          throw new Error(
            `The ${broken} became ${result[broken]} at step ${progress.step + 1}; the checkpoint before it is kept. Lower learningRate.max or clipNorm.`,
          );
        progress = { ...progress, step: progress.step + 1 };
        const finished = performance.now();
        log.write({
          type: 'step',
          step: progress.step,
          epoch,
          learningRate,
          ...result,
          seconds: (finished - waitingSince) / 1000,
          waited: (started - waitingSince) / 1000,
        });
        const secondsPerStep = (finished - waitingSince) / 1000;
        emit({ type: 'step', step: progress.step, epoch, loss: result.loss, learningRate, secondsPerStep });
        if (Date.now() - lastSaved > CHECKPOINT_SECONDS * 1000) save();
        waitingSince = finished;
        // The step holds the thread: signals and reads are served between steps.
        await setImmediate();
        if (stopped()) break;
      }
      if (stopped() || !plan.isValidationDue(progress)) save();
    }
    return { run, steps: progress.step, bestDice: progress.bestDice, interrupted: isUnfinished() };
  } finally {
    await cache.close();
  }
}

interface StepInput {
  network: Layer;
  optimizer: AdamW;
  config: TrainConfig;
  image: Tensor;
  target: Tensor;
  criterion: Criterion;
  learningRate: number;
}

/** Forward, loss, backward, clip, move. image N x 3 x S x S, target N x S x S. */
function trainStep({ network, optimizer, config, image, target, criterion, learningRate }: StepInput): {
  loss: number;
  gradientNorm: number;
} {
  const result = tidy(() => {
    const input = image.contiguous('channels_last');
    const logits = mixedPrecision(config.device, config.precision, () => network.forward(input));
    const loss = criterion.of(logits, target);
    loss.backward();
    const norm = clipGradNorm(network.parameters(), config.clipNorm ?? Infinity);
    return { loss: Number(loss.item()), gradientNorm: Number(norm.item()) };
  });
  if (Number.isFinite(result.loss) && Number.isFinite(result.gradientNorm)) optimizer.step(learningRate);
  optimizer.zeroGrad();
  return result;
}

interface TrainingPlan {
  totalSteps: number;
  stepsPerEpoch: number;
  schedule: Schedule;
  weights: number[];
  batchesOf: (epoch: number) => SliceRef[][];
  isValidationDue: (progress: Progress) => boolean;
}

function planTraining(config: TrainConfig, dataset: Dataset, cache: SliceCache, splits: Splits): TrainingPlan {
  const inTraining = new Set(splits.train);
  const counts = cache.cases.filter(({ name }) => inTraining.has(name));
  const types = [...typeIds(dataset.annotated), ...(dataset.untyped.length > 0 ? [UNKNOWN_LABEL] : [])];
  const { batch, stepsPerEpoch: wanted } = config;
  const sample = (epoch: number): SliceRef[] =>
    sampleEpoch(counts, {
      ...config.sampler,
      seed: config.seed,
      epoch,
      types,
      multipleOf: batch,
      length: wanted === null ? undefined : wanted * batch,
    });
  const stepsPerEpoch = sample(0).length / batch;
  const totalSteps = Math.min(config.epochs * stepsPerEpoch, config.maxSteps ?? Infinity);
  return {
    totalSteps,
    stepsPerEpoch,
    schedule: scheduleOf(config, totalSteps),
    weights: classWeights(counts, config.classWeights),
    batchesOf: (epoch) => inBatches(sample(epoch), batch),
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

/** A resumed training must be the one that was begun: only where it runs and where its files lie may change. */
async function checkSameRun(run: string, config: TrainConfig): Promise<void> {
  const changed = changedKeys(await readRunConfig(run), config, ['data', 'device', 'threads', 'init']);
  if (changed.length > 0)
    throw new Error(
      `${run} was begun with another ${changed.join(', ')}; resume it without these options, or start anew with another --out.`,
    );
}

function orNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}
