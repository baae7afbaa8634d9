import { InvalidArgumentError } from 'commander';
import { InterruptedError } from './errors.js';
import { Progress, type ProgressStream } from './progress.js';

/** What a command talks to; replaced in tests. */
export interface CliContext {
  /** Results, and nothing else. */
  readonly stdout: { write(text: string): unknown };
  /** Progress, warnings, errors. */
  readonly stderr: ProgressStream;
}

/** Prints a result line to stdout. */
export function print(context: CliContext, text: string): void {
  context.stdout.write(`${text}\n`);
}

/** Parses an option as a whole number from `least` to `most`, a multiple of `step`. */
export function integerOf(
  least: number,
  { most = Number.MAX_SAFE_INTEGER, step = 1 }: { readonly most?: number; readonly step?: number } = {},
): (text: string) => number {
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  const expected = `${step === 1 ? 'a whole number' : `a multiple of ${step}`} ${range}`;
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most || value % step !== 0) {
      throw new InvalidArgumentError(`Expected ${expected}.`);
    }
    return value;
  };
}

/**
 * Runs a task that can be stopped: the first Ctrl-C aborts the signal, so that the task can end cleanly, a second one
 * quits at once. Without this a Ctrl-C ends the process as usual.
 */
export async function interruptible<T>(context: CliContext, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const onInterrupt = (): void => {
    // 130: how shells report an end by Ctrl-C.
    if (controller.signal.aborted) process.exit(130);
    context.stderr.write('\nStopping; Ctrl-C again quits at once.\n');
    controller.abort(new InterruptedError('Stopped by Ctrl-C.'));
  };
  process.on('SIGINT', onInterrupt);
  process.on('SIGTERM', onInterrupt);
  try {
    return await task(controller.signal);
  } finally {
    process.off('SIGINT', onInterrupt);
    process.off('SIGTERM', onInterrupt);
  }
}

/** Shows the progress of a task that reports (done, total); the bar is removed if the task fails. */
export async function withProgress<T>(
  context: CliContext,
  label: string,
  unit: string,
  task: (onProgress: (done: number, total: number) => void, progress: Progress) => Promise<T>,
): Promise<T> {
  const progress = new Progress({ label, total: 0, unit, stream: context.stderr });
  try {
    const result = await task((done, total) => {
      progress.update(done, '', total);
    }, progress);
    progress.finish();
    return result;
  } catch (error) {
    progress.abandon();
    throw error;
  }
}
