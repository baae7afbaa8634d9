import type { EmptyConvention } from '../metrics/dice.js';
import type { Evaluation } from '../metrics/evaluation-report.js';

export interface EvaluateOptions {
  readonly split?: 'train' | 'val' | 'test' | undefined;
  readonly empty?: EmptyConvention | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Scores a run's best checkpoint on a part of its split and writes RUN/evaluation.json. */
export function evaluateRun(run: string, options: EvaluateOptions = {}): Promise<Evaluation> {
  return Promise.reject(new Error(`Evaluation of ${run} (${options.split ?? 'test'}) is not part of this build.`));
}
