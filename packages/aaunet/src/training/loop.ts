import { setImmediate } from 'node:timers/promises';

import type { Dataset } from '../datasets/dataset.js';
import { loadBatches } from '../datasets/loader.js';
import type { SliceCache } from '../datasets/slice-cache.js';
import type { Splits } from '../datasets/splits.js';
import { scoreCases } from '../evaluation/score.js';
import { pooledDice } from '../metrics/dice.js';
import { shellWords } from '../shell-words.js';
import { checkpointPath, hasCheckpoint, saveBest, saveLast, type Progress } from './checkpoint.js';
import type { TrainEvent } from './events.js';
import type { MetricsLog } from './metrics-log.js';
import { partsOf, type BatchPart, type TrainingPlan } from './plan.js';
import { finishStep, trainPart, type StepContext } from './step.js';

/** A checkpoint is written at the end of each epoch, and within long ones after so many seconds. */
const CHECKPOINT_SECONDS = 600;

/** What a training works on and with. */
export interface LoopContext extends StepContext {
  readonly run: string;
  readonly dataset: Dataset;
  readonly cache: SliceCache;
  readonly splits: Splits;
  readonly plan: TrainingPlan;
  /** In the first process, which writes. */
  readonly log: MetricsLog | null;
  readonly emit: (event: TrainEvent) => void;
}

/** Epochs, validations and checkpoints of a training, from where it stands to its end. */
export class TrainingLoop {
  #progress: Progress;
  #lastSaved = Date.now();

  constructor(
    private readonly context: LoopContext,
    progress: Progress,
  ) {
    this.#progress = progress;
  }

  get progress(): Progress {
    return this.#progress;
  }

  get isFinished(): boolean {
    const { plan } = this.context;
    return this.#progress.step >= plan.totalSteps && !plan.isValidationDue(this.#progress);
  }

  /**
   * Trains to the end, or until `signal` aborts; then the last checkpoint is where the training stands.
   *
   * @throws Error of one sentence if loss or gradient are no longer numbers.
   */
  async run(signal?: AbortSignal): Promise<void> {
    const { team } = this.context.network;
    // All processes stop after the same step.
    const isStopped = (): boolean => team.any(signal?.aborted === true);
    while (!this.isFinished && !isStopped()) {
      if (!this.context.plan.isValidationDue(this.#progress)) await this.#trainEpoch(isStopped);
      else if (!(await this.#validate(signal))) return;
      this.#save();
    }
  }

  /** @returns whether it came to its end: `signal` ends it in all processes, and nothing has changed then. */
  async #validate(signal: AbortSignal | undefined): Promise<boolean> {
    const { network, run, config, dataset, cache, splits, plan, log, emit } = this.context;
    const { team, layer } = network;
    const { step, bestDice } = this.#progress;
    const epoch = Math.ceil(step / plan.stepsPerEpoch) - 1;
    const { annotated, untyped } = dataset;
    const options = { config, annotated, untyped, signal };
    const scores = await scoreCases(layer.eval(), cache, team.partOf(splits.val), options).catch((error: unknown) => {
      if (signal?.aborted !== true) throw error;
      return null;
    });
    if (team.any(scores === null) || scores === null) return false;
    const { mean: meanDice, dice } = pooledDice(team.sum(scores.confusion.flat()), annotated);
    const best = !Number.isNaN(meanDice) && !(bestDice >= meanDice);
    this.#progress = { step, validated: step, bestDice: best ? meanDice : bestDice };
    if (best && team.isFirst) saveBest(run, layer, this.#progress);
    log?.write({ type: 'validation', step, epoch, meanDice: Number.isNaN(meanDice) ? null : meanDice, dice });
    emit({ type: 'validation', step, epoch, meanDice, best });
    return true;
  }

  /** The steps that are left of the epoch, or until it is stopped. */
  async #trainEpoch(isStopped: () => boolean): Promise<void> {
    const { network, config, cache, plan } = this.context;
    const epoch = Math.floor(this.#progress.step / plan.stepsPerEpoch);
    const parts = this.#partsLeft(epoch);
    const slices = parts.map((part) => part.slices);
    network.layer.train();
    const clock = new StepClock();
    let loss = 0;
    let next = 0;
    for await (using batch of loadBatches(cache, slices, { pinned: config.device !== 'cpu' })) {
      clock.endWait();
      const part = parts[next++]!;
      loss += trainPart(this.context, batch, part, this.#progress.step);
      clock.beginWait();
      if (!part.isLast) continue;
      this.#finishStep(epoch, loss, clock);
      loss = 0;
      clock.restart();
      // The step holds the thread: signals and reads are served between steps.
      await setImmediate();
      if (isStopped()) return;
    }
  }

  #partsLeft(epoch: number): BatchPart[] {
    const { plan, config, network } = this.context;
    return plan
      .batchesOf(epoch)
      .slice(this.#progress.step % plan.stepsPerEpoch, plan.totalSteps - epoch * plan.stepsPerEpoch)
      .flatMap((slices) => partsOf(slices, config.accumulate, network.team));
  }

  #finishStep(epoch: number, partialLoss: number, clock: StepClock): void {
    const { network, run, plan, log, emit } = this.context;
    const { team } = network;
    const step = this.#progress.step + 1;
    const learningRate = plan.schedule(this.#progress.step);
    const result = finishStep(this.context, partialLoss, learningRate);
    const broken = (['loss', 'gradientNorm'] as const).find((figure) => !Number.isFinite(result[figure]));
    if (broken)
      throw new Error(`The ${broken} became ${result[broken]} at step ${step}. ${remedyFor(run, hasCheckpoint(run))}`);
    this.#progress = { ...this.#progress, step };
    const { seconds, waited } = clock;
    log?.write({ type: 'step', step, epoch, learningRate, ...result, seconds, waited });
    emit({ type: 'step', step, epoch, loss: result.loss, learningRate, secondsPerStep: seconds });
    if (team.any(team.isFirst && Date.now() - this.#lastSaved > CHECKPOINT_SECONDS * 1000)) this.#save();
  }

  #save(): void {
    const { network, run, optimizer } = this.context;
    if (network.team.isFirst) saveLast(run, network.layer, optimizer, this.#progress);
    network.team.meet();
    this.#lastSaved = Date.now();
  }
}

/** Seconds of a step, and of them waiting for data. */
class StepClock {
  #started = performance.now();
  #waitingSince = this.#started;
  #waited = 0;

  get seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  get waited(): number {
    return this.#waited / 1000;
  }

  beginWait(): void {
    this.#waitingSince = performance.now();
  }

  endWait(): void {
    this.#waited += performance.now() - this.#waitingSince;
  }

  restart(): void {
    this.#started = this.#waitingSince = performance.now();
    this.#waited = 0;
  }
}

/** What to do about a training that has diverged: with the same configuration it would again. */
function remedyFor(run: string, hasLast: boolean): string {
  const anew = 'start anew with a lower learningRate.max or clipNorm';
  if (!hasLast) return `There is no checkpoint yet: ${anew}.`;
  return `The checkpoint before it is kept: to go on from its weights, ${anew} and ${shellWords(['--init', checkpointPath(run, 'last')])}.`;
}
