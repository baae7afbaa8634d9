import type { TrainConfig } from './config.js';

/** What happens during a training, in order of occurrence. */
export type TrainEvent =
  | { readonly type: 'prepare'; readonly done: number; readonly total: number }
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

/** Trains a network as `config` says. */
export function train(config: TrainConfig, options: TrainOptions): Promise<TrainResult> {
  return Promise.reject(new Error(`Training ${config.model} into ${options.run} is not part of this build.`));
}
