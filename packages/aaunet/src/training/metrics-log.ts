import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { writeFileAtomic } from '../atomic.js';

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
    .map((line) => JSON.parse(line) as Metric);
}

/** Appends to RUN/metrics.jsonl, one line a metric, each on disk at once. */
export class MetricsLog implements Disposable {
  private constructor(private readonly descriptor: number) {}

  /** Opens the log to continue after `step`: what a killed training wrote beyond its checkpoint is taken back. */
  static async open(run: string, step: number): Promise<MetricsLog> {
    const path = join(run, 'metrics.jsonl');
    const kept = readMetrics(run).filter((metric) => metric.step <= step);
    await writeFileAtomic(path, kept.map((metric) => `${JSON.stringify(metric)}\n`).join(''));
    return new MetricsLog(openSync(path, 'a'));
  }

  write(metric: Metric): void {
    writeSync(this.descriptor, `${JSON.stringify(metric)}\n`);
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor);
  }
}
