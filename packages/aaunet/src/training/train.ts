import { mkdir } from 'node:fs/promises';

import { manualSeed } from '@aaunet/torch';
import type { Layer } from '@aaunet/torch/nn';
import { AdamW } from '@aaunet/torch/optim';

import { readDataset } from '../datasets/dataset.js';
import { ensureSplits } from '../datasets/ensure-splits.js';
import { openSliceCache } from '../datasets/slice-cache.js';
import { trainingPrecision } from '../inference/segment.js';
import { focalCriterion } from '../losses/partial-focal.js';
import { buildModel } from '../models/registry.js';
import { SOFTWARE } from '../version.js';
import { locateWeights } from '../weights/hub.js';
import { describeWeights, loadWeights } from '../weights/load-weights.js';
import { hasCheckpoint, loadLast, NOT_BEGUN } from './checkpoint.js';
import { describeChanges, type TrainConfig } from './config.js';
import { describeTrainingData } from './describe-training-data.js';
import { checkDevice } from './device.js';
import type { TrainEvent } from './events.js';
import { TrainingLoop } from './loop.js';
import { MetricsLog } from './metrics-log.js';
import { writeModelFile } from './model-file.js';
import { planTraining } from './plan.js';
import { fingerprintOf, keepSplits, splitsOfRun, type RunData } from './run-data.js';
import { readRunConfig, startRun } from './run-folder.js';
import { gradientPass } from './step.js';
import { Team } from './team.js';

export interface TrainOptions {
  /** Run folder, made if needed. */
  readonly run: string;
  /** Where to put the preprocessed slices if the data folder cannot be written to; by default the run folder. */
  readonly fallback?: string | undefined;
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
    const result = await trainTogether(team, config, options);
    team.leave();
    return result;
  } catch (error) {
    team.fail(error);
    throw error;
  }
}

async function trainTogether(team: Team, wished: TrainConfig, options: TrainOptions): Promise<TrainResult> {
  const { run, fallback = run, signal } = options;
  const config = { ...wished, device: team.device(wished.device) };
  const emit = (team.isFirst ? options.onEvent : undefined) ?? (() => undefined);
  const resumed = options.resume === true && hasCheckpoint(run);
  if (!options.resume && hasCheckpoint(run))
    throw new Error(`${run} already holds a training; continue it with --resume or name another folder with --out.`);
  if (config.threads !== null) team.setThreads(config.threads);
  checkDevice(config.device);
  if (resumed) await checkSameSettings(run, wished);

  const dataset = await readDataset(config.data);
  // Before the data are prepared: weights that are missing or another network's show at once.
  const dtype = config.precision === 'fp64' ? 'float64' : 'float32';
  manualSeed(config.seed);
  using layer = buildModel(config.model);
  if (config.init !== null && !resumed && team.isFirst) await initialize(layer, config.init, emit, signal);
  layer.to({ device: config.device, memoryFormat: 'channels_last', dtype });
  if (team.isFirst) await mkdir(run, { recursive: true });
  const onProgress = (done: number, total: number): void => {
    emit({ type: 'prepare', done, total });
  };
  const prepare = () => openSliceCache(dataset, { size: config.size, fit: config.fit, fallback, onProgress, signal });
  const cache = await team.firstAlone('slices', prepare, signal);
  try {
    const chooseSplits = () =>
      resumed
        ? splitsOfRun(run, { dataset, cache }, config.seed, (text) => {
            emit({ type: 'message', text: `warning: ${text}` });
          })
        : ensureSplits(dataset, cache, config.seed);
    const splits = await team.firstAlone('splits', chooseSplits, signal);
    const plan = planTraining(config, dataset, cache, splits);
    const complete = { ...wished, classWeights: { ...wished.classWeights, values: plan.weights } };
    if (resumed) await checkSameRun(run, complete, { dataset, cache, splits });
    if (team.isFirst) await describeRun(run, complete, { dataset, cache, splits });
    if (dataset.approximateHu) emit({ type: 'message', text: APPROXIMATE_HU });
    const precision = trainingPrecision(config.device, config.precision);
    if (precision !== config.precision)
      emit({ type: 'message', text: `computing in ${precision}: bfloat16 would be slower on this processor` });

    using optimizer = new AdamW(layer.namedParameters(), config.optimizer);
    const { focalGamma: gamma } = config.loss;
    using criterion = focalCriterion(dataset, plan.weights, { gamma, device: config.device, dtype });
    const progress = resumed ? loadLast(run, layer, optimizer) : NOT_BEGUN;
    team.share(optimizer.stateDict().values());
    using network = team.train(layer, config);
    using pass = gradientPass(network, criterion, config);
    using log = team.isFirst ? await MetricsLog.open(run, progress) : null;
    emit({ type: 'start', step: progress.step, totalSteps: plan.totalSteps, resumed });
    const loop = new TrainingLoop(
      { run, config, dataset, cache, splits, plan, network, optimizer, pass, log, emit },
      progress,
    );
    await loop.run(signal);
    const { step: steps, bestDice } = loop.progress;
    return { run, steps, bestDice, interrupted: !loop.isFinished, isFirst: team.isFirst };
  } finally {
    await cache.close();
  }
}

/** A resumed training must be the one that was begun: only where it runs and where its files lie may change. */
async function checkSameSettings(run: string, asked: TrainConfig): Promise<void> {
  const begun = await readRunConfig(run);
  // Not asked for, they follow from the data.
  const values = asked.classWeights.values ?? begun.classWeights.values;
  const config = { ...asked, classWeights: { ...asked.classWeights, values } };
  const changed = describeChanges(begun, config, ['data', 'device', 'threads', 'init']);
  if (changed.length > 0)
    throw new Error(
      `${run} was begun with ${changed.join(', ')}; resume it without these options, or start anew with another --out.`,
    );
}

/** A resumed training must go on with the data that it was begun with, wherever they lie by now. */
async function checkSameRun(
  run: string,
  config: TrainConfig,
  { dataset, cache, splits }: RunData & { readonly splits: { readonly fingerprint?: string } },
): Promise<void> {
  // Runs of earlier versions have no fingerprint.
  const { fingerprint } = splits;
  if (fingerprint !== undefined && fingerprint !== fingerprintOf(dataset, cache.cases, splits))
    throw new Error(
      `${run} was begun with other slices or labels than ${config.data} holds; resume it with the data that it was begun with, or start anew with another --out.`,
    );
  await checkSameSettings(run, config);
}

/** Writes what a run folder says of its training: what repeats it, and what using its network takes. */
async function describeRun(run: string, config: TrainConfig, data: RunData): Promise<void> {
  const { dataset, splits } = data;
  await startRun(run, config);
  await keepSplits(run, data);
  const { model, window, size, fit, precision } = config;
  await writeModelFile(run, {
    software: SOFTWARE,
    model,
    annotated: [...dataset.annotated],
    untyped: [...dataset.untyped],
    window,
    size,
    fit,
    ...(await describeTrainingData(dataset, splits.train)),
    precision: precision === 'fp64' ? 'fp32' : precision,
    synthetic: dataset.synthetic,
    approximateHu: dataset.approximateHu,
  });
}

async function initialize(
  layer: Layer,
  weights: string,
  emit: (event: TrainEvent) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const onProgress = (done: number, total: number): void => {
    emit({ type: 'download', done, total });
  };
  const path = await locateWeights(weights, { onProgress, signal });
  emit({ type: 'message', text: describeWeights(weights, loadWeights(layer, path)) });
}
