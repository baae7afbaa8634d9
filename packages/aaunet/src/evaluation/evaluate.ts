import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { setNumThreads } from '@aaunet/torch';
import { withoutInitialisation, type Layer } from '@aaunet/torch/nn';

import { writeFileAtomic, writeJsonAtomic } from '../atomic.js';
import { PARTS, type Part } from '../datasets/splits.js';
import type { EmptyConvention } from '../metrics/dice.js';
import { toEvaluation, type Evaluation } from '../metrics/evaluation-report.js';
import type { MissedConvention } from '../metrics/surface.js';
import { buildModel } from '../models/registry.js';
import { checkpointPath, hasCheckpoint, loadWeights, type CheckpointName } from '../training/checkpoint.js';
import type { TrainConfig } from '../training/config.js';
import { checkDevice } from '../training/device.js';
import { withRunData } from '../training/run-data.js';
import { readRunConfig } from '../training/run-folder.js';
import { SOFTWARE } from '../version.js';
import { assessCases } from './assess-cases.js';
import { renderEvaluationPage } from './evaluation-page.js';

export interface EvaluateOptions {
  readonly split?: Part | undefined;
  /** "cpu", "cuda" or "cuda:N"; by default where it was trained. */
  readonly device?: string | undefined;
  readonly empty?: EmptyConvention | undefined;
  /** HD95 where only one of truth and prediction is empty. */
  readonly missed?: MissedConvention | undefined;
  /** Where to put the preprocessed slices if the data folder cannot be written to; by default the run folder. */
  readonly fallback?: string | undefined;
  readonly onWarning?: ((text: string) => void) | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The checkpoint that a run is judged and used by: the best on validation, else the last. @throws Error if there is none. */
export function chosenCheckpoint(run: string): CheckpointName {
  if (existsSync(checkpointPath(run, 'best'))) return 'best';
  if (hasCheckpoint(run)) return 'last';
  throw new Error(`${run} holds no checkpoint; train it first, or name the folder that 'aaunet train' wrote.`);
}

/** The chosen checkpoint of a run as a network in inference mode on the run's device; the caller disposes it. */
export function loadRunNetwork(run: string, config: TrainConfig): Layer {
  const network = withoutInitialisation(() => buildModel(config.model)).eval();
  loadWeights(checkpointPath(run, chosenCheckpoint(run)), network);
  return network.to({
    device: config.device,
    memoryFormat: 'channels_last',
    ...(config.precision === 'fp64' && { dtype: 'float64' }),
  });
}

/**
 * Scores a run's best checkpoint on a part of its split against the files' own voxels and writes RUN/evaluation.json and
 * evaluation.html.
 *
 * @throws Error of one sentence where the part has no case; nothing is written then.
 */
export async function evaluateRun(run: string, options: EvaluateOptions = {}): Promise<Evaluation> {
  const { split = 'test', empty = 'nan', missed = 'nan', onProgress, signal } = options;
  const { fallback, onWarning } = options;
  const own = await readRunConfig(run);
  const config = { ...own, device: options.device ?? own.device };
  checkDevice(config.device);
  const checkpoint = chosenCheckpoint(run);
  if (config.threads !== null) setNumThreads(config.threads);
  return withRunData(run, config, { fallback, signal, onWarning }, async ({ dataset, cache, splits }) => {
    if (splits[split].length === 0) {
      const others = PARTS.filter((part) => splits[part].length > 0);
      throw new Error(`The ${split} part of the split of ${run} is empty; choose --split ${others.join(' or ')}.`);
    }
    using network = loadRunNetwork(run, config);
    const { scores, assessment, seconds, pictures } = await assessCases(network, cache, splits[split], {
      config,
      dataset,
      empty,
      missed,
      onProgress,
      signal,
    });
    const context = {
      software: SOFTWARE,
      model: config.model,
      checkpoint,
      data: dataset.name,
      split,
      synthetic: dataset.synthetic,
      size: 'source' as const,
      inputSize: config.size,
      secondsPerImage: scores.sliceCount > 0 ? seconds / scores.sliceCount : null,
      patients: Object.fromEntries(dataset.cases.map(({ name, patient }) => [name, patient])),
    };
    const evaluation = toEvaluation(scores, context, assessment);
    await writeFileAtomic(join(run, 'evaluation.html'), renderEvaluationPage(evaluation, pictures));
    await writeJsonAtomic(join(run, 'evaluation.json'), evaluation);
    return evaluation;
  });
}
