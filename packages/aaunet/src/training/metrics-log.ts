import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { writeFileAtomic } from '../atomic.js';
import type { Progress } from './checkpoint.js';

/** A line of metrics.jsonl. */
export type Metric =
  | {
      readonly type: 'step';
      readonly step: number;
      readonly epoch: number;
      readonly loss: number;
      readonly learningRate: number;
      readonly gradientNorm: number;
      /** Seconds of the step, and of them waiting for data. */
      readonly seconds: number;
      readonly waited: number;
    }
  | {
      readonly type: 'validation';
      readonly step: number;
      readonly epoch: number;
      readonly meanDice: number | null;
      readonly dice: Readonly<Record<string, number | null>>;
    };

/** Reads RUN/metrics.jsonl; a last line that a kill cut short is left out. */
export function readMetrics(run: string): Metric[] {
  const path = join(run, 'metrics.jsonl');
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line, index) => {
      try {
        return JSON.parse(line) as Metric;
      } catch (error) {
        throw new Error(`Expected a line of JSON as line ${index + 1} of ${path}, which is damaged; remove the line.`, {
          cause: error,
        });
      }
    });
}

/** Appends to RUN/metrics.jsonl, one line a metric, each on disk at once. */
export class MetricsLog implements Disposable {
  private constructor(
    private readonly descriptor: number,
    private readonly path: string,
  ) {}

  /** Opens the log to continue from a checkpoint: what a killed training wrote beyond it is taken back. */
  static async open(run: string, { step, validated }: Pick<Progress, 'step' | 'validated'>): Promise<MetricsLog> {
    const path = join(run, 'metrics.jsonl');
    const kept = readMetrics(run).filter((metric) => metric.step <= (metric.type === 'step' ? step : validated));
    await writeFileAtomic(path, kept.map((metric) => `${JSON.stringify(metric)}\n`).join(''));
    return new MetricsLog(openSync(path, 'a'), path);
  }

  /** @throws Error of one sentence where the disk does not take the line. */
  write(metric: Metric): void {
    const line = Buffer.from(`${JSON.stringify(metric)}\n`);
    try {
      for (let done = 0; done < line.length;) done += writeSync(this.descriptor, line, done);
    } catch (error) {
      throw new Error(`Cannot write ${this.path}: ${(error as Error).message}`, { cause: error });
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor);
  }
}
