import { setImmediate } from 'node:timers/promises';

import { manualSeed } from '@aaunet/torch';
import { AdamW } from '@aaunet/torch/optim';

import { readDataset } from '../datasets/dataset.js';
import { ensureSplits } from '../datasets/ensure-splits.js';
import { loadBatches } from '../datasets/loader.js';
import { openSliceCache } from '../datasets/slice-cache.js';
import { scoreCases } from '../evaluation/score.js';
import { focalCriterion } from '../losses/partial-focal.js';
import { precisionOn } from '../inference/segment.js';
import { pooledDice } from '../metrics/dice.js';
import { buildModel } from '../models/registry.js';
import { SOFTWARE } from '../version.js';
import { locateWeights } from '../weights/hub.js';
import { describeWeights, loadWeights } from '../weights/load-weights.js';
import { checkpointPath, hasCheckpoint, loadLast, saveBest, saveLast, type Progress } from './checkpoint.js';
import { changedKeys, type TrainConfig } from './config.js';
import { MetricsLog } from './metrics-log.js';
import { describeTrainingData } from './describe-training-data.js';
import { partsOf, planTraining } from './plan.js';
import { writeModelFile } from './model-file.js';
import { readRunConfig, startRun } from './run-folder.js';
import { finishStep, gradientPass, trainPart } from './step.js';
import { Team } from './team.js';

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
  /** Whether this process is the one that writes and reports. */
  readonly isFirst: boolean;
}

const APPROXIMATE_HU =
  'warning: the HU of this data set are approximate (they come from pictures of a display window); what is trained on them may do worse on real HU';

/** A checkpoint is written at the end of each epoch, and within long ones after so many seconds. */
const CHECKPOINT_SECONDS = 600;

/**
 * Trains a network as `config` says (Chang et al. 2022, section III) and leaves in the run folder what repeats, continues,
 * evaluates and uses it. Random numbers depend on the seed and the step alone, so a resumed training continues the very same
 * sequence of losses.
 *
 * @throws Error of one sentence if data, configuration or checkpoint do not fit, or the loss is no longer a number; the last
 * good checkpoint stays. Where a launcher started several processes, all train together, and the first writes and reports.
 */
export async function train(config: TrainConfig, options: TrainOptions): Promise<TrainResult> {
  const team = Team.join(config);
  try {
    const result = await trainTogether(team, { ...config, device: team.device(config.device) }, config.device, options);
    team.leave();
    return result;
  } catch (error) {
    team.fail(error);
    throw error;
  }
}

async function trainTogether(
  team: Team,
  config: TrainConfig,
  wishedDevice: string,
  options: TrainOptions,
): Promise<TrainResult> {
  const { run, signal } = options;
  const emit = (team.isFirst ? options.onEvent : undefined) ?? (() => undefined);
  const stopped = (): boolean => signal?.aborted === true;
  const resumed = options.resume === true && hasCheckpoint(run);
  if (!options.resume && hasCheckpoint(run))
    throw new Error(`${run} already holds a training; continue it with --resume or name another folder with --out.`);
  if (config.threads !== null) team.setThreads(config.threads);

  const dataset = await readDataset(config.data);
  const onProgress = (done: number, total: number): void => {
    emit({ type: 'prepare', done, total });
  };
  const prepare = () =>
    openSliceCache(dataset, { size: config.size, fit: config.fit, fallback: run, onProgress, signal });
  const cache = await team.firstAlone('slices', prepare, signal);
  try {
    const splits = await team.firstAlone('splits', () => ensureSplits(dataset, cache, config.seed), signal);
    const plan = planTraining(config, dataset, cache, splits);
    const complete = {
      ...config,
      device: wishedDevice,
      classWeights: { ...config.classWeights, values: plan.weights },
    };
    if (resumed) await checkSameRun(run, complete);
    if (team.isFirst) {
      await startRun(run, complete);
      await writeModelFile(run, {
        software: SOFTWARE,
        model: config.model,
        annotated: [...dataset.annotated],
        untyped: [...dataset.untyped],
        window: config.window,
        size: config.size,
        fit: config.fit,
        ...(await describeTrainingData(dataset, splits.train)),
        precision: config.precision === 'fp64' ? 'fp32' : config.precision,
        synthetic: dataset.synthetic,
        approximateHu: dataset.approximateHu,
      });
      if (dataset.approximateHu) emit({ type: 'message', text: APPROXIMATE_HU });
    }

    manualSeed(config.seed);
    using network = buildModel(config.model);
    if (config.init !== null && !resumed && team.isFirst) {
      const onProgress = (done: number, total: number): void => {
        emit({ type: 'download', done, total });
      };
      const path = await locateWeights(config.init, { onProgress, signal });
      emit({ type: 'message', text: describeWeights(config.init, loadWeights(network, path)) });
    }
    const isDouble = config.precision === 'fp64';
    network.to({ device: config.device, memoryFormat: 'channels_last', ...(isDouble && { dtype: 'float64' }) });
    using optimizer = new AdamW(network.namedParameters(), config.optimizer);
    using criterion = focalCriterion(dataset, plan.weights, {
      gamma: config.loss.focalGamma,
      device: config.device,
      dtype: isDouble ? 'float64' : 'float32',
    });

    const precision = precisionOn(config.device, config.precision);
    if (precision !== config.precision)
      emit({ type: 'message', text: `computing in ${precision}: this processor has no instructions for bfloat16` });
    let progress: Progress = resumed ? loadLast(run, network, optimizer) : { step: 0, validated: 0, bestDice: NaN };
    team.share(optimizer.stateDict().values());
    using parallel = team.train(network, config);
    using pass = gradientPass(parallel, criterion, config);
    const context = { network: parallel, optimizer, pass, config };
    using log = team.isFirst ? await MetricsLog.open(run, progress) : null;
    emit({ type: 'start', step: progress.step, totalSteps: plan.totalSteps, resumed });
    let lastSaved = Date.now();
    let hasStopped = false;
    const save = (): void => {
      if (team.isFirst) saveLast(run, network, optimizer, progress);
      team.meet();
      lastSaved = Date.now();
    };

    const isUnfinished = (): boolean => progress.step < plan.totalSteps || plan.isValidationDue(progress);
    while (isUnfinished() && !team.any(stopped())) {
      if (plan.isValidationDue(progress)) {
        const epoch = Math.ceil(progress.step / plan.stepsPerEpoch) - 1;
        const { annotated, untyped } = dataset;
        const cases = team.partOf(splits.val);
        const scores = await scoreCases(network.eval(), cache, cases, { config, annotated, untyped });
        const { mean: meanDice, dice } = pooledDice(team.sum(scores.confusion.flat()), annotated);
        const best = !Number.isNaN(meanDice) && !(progress.bestDice >= meanDice);
        progress = { ...progress, validated: progress.step, ...(best && { bestDice: meanDice }) };
        if (best && team.isFirst) saveBest(run, network, progress);
        log?.write({ type: 'validation', step: progress.step, epoch, meanDice: orNull(meanDice), dice });
        emit({ type: 'validation', step: progress.step, epoch, meanDice, best });
        save();
        continue;
      }
      const epoch = Math.floor(progress.step / plan.stepsPerEpoch);
      const parts = plan
        .batchesOf(epoch)
        .slice(progress.step % plan.stepsPerEpoch, plan.totalSteps - epoch * plan.stepsPerEpoch)
        .flatMap((slices) => partsOf(slices, config.accumulate, team));
      network.train();
      let waitingSince = performance.now();
      let stepStarted = waitingSince;
      let [waited, loss, next] = [0, 0, 0];
      for await (using batch of loadBatches(
        cache,
        parts.map(({ slices }) => slices),
        { pinned: config.device !== 'cpu' },
      )) {
        waited += performance.now() - waitingSince;
        const part = parts[next++]!;
        loss += trainPart(context, batch, part, progress.step);
        waitingSince = performance.now();
        if (!part.isLast) continue;
        const learningRate = plan.schedule(progress.step);
        const result = finishStep(context, loss, learningRate);
        const broken = (['loss', 'gradientNorm'] as const).find((figure) => !Number.isFinite(result[figure]));
        if (broken)
          throw new Error(
            `The ${broken} became ${result[broken]} at step ${progress.step + 1}. ${remedyFor(run, hasCheckpoint(run))}`,
          );
        progress = { ...progress, step: progress.step + 1 };
        const finished = performance.now();
        const secondsPerStep = (finished - stepStarted) / 1000;
        log?.write({
          type: 'step',
          step: progress.step,
          epoch,
          learningRate,
          ...result,
          seconds: secondsPerStep,
          waited: waited / 1000,
        });
        emit({ type: 'step', step: progress.step, epoch, loss: result.loss, learningRate, secondsPerStep });
        if (team.any(team.isFirst && Date.now() - lastSaved > CHECKPOINT_SECONDS * 1000)) save();
        waitingSince = stepStarted = finished;
        [waited, loss] = [0, 0];
        // The step holds the thread: signals and reads are served between steps.
        await setImmediate();
        hasStopped = team.any(stopped());
        if (hasStopped) break;
      }
      if (hasStopped || !plan.isValidationDue(progress)) save();
    }
    return {
      run,
      steps: progress.step,
      bestDice: progress.bestDice,
      interrupted: isUnfinished(),
      isFirst: team.isFirst,
    };
  } finally {
    await cache.close();
  }
}

/** A resumed training must be the one that was begun: only where it runs and where its files lie may change. */
async function checkSameRun(run: string, config: TrainConfig): Promise<void> {
  const changed = changedKeys(await readRunConfig(run), config, ['data', 'device', 'threads', 'init']);
  if (changed.length > 0)
    throw new Error(
      `${run} was begun with another ${changed.join(', ')}; resume it without these options, or start anew with another --out.`,
    );
}

/** What to do about a training that has diverged: with the same configuration it would again. */
function remedyFor(run: string, hasLast: boolean): string {
  const anew = 'start anew with a lower learningRate.max or clipNorm';
  if (!hasLast) return `There is no checkpoint yet: ${anew}.`;
  return `The checkpoint before it is kept: to go on from its weights, ${anew} and --init ${checkpointPath(run, 'last')}.`;
}

function orNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}
