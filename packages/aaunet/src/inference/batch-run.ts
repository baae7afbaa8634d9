import { constants, existsSync } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { inputFingerprint, originOf, readManifest, writeManifest, type ManifestResult } from './manifest.js';
import type { Prediction, PredictResult, PredictRunOptions } from './predict.js';
import type { ModelIdentity } from './report.js';
import { ResultNames } from './result-names.js';

/** One scan to be done, and the folder that its result gets. */
export interface BatchTask {
  readonly input: string;
  readonly name: string;
  readonly fingerprint: string;
}

/** Options under which a batch's names and manifest are made; `as` names the result of a single input. */
type BatchOptions = PredictRunOptions & { readonly as?: string | undefined };

/** Many scans, their result folders, and the manifest of what was done, which is written after every one. */
export class BatchRun {
  readonly tasks: BatchTask[] = [];
  /** Of this call and of earlier ones. */
  private readonly results: ManifestResult[] = [];
  private readonly predictions: Prediction[] = [];
  private readonly failures: { input: string; name: string; error: Error }[] = [];
  private readonly skipped: string[] = [];

  private constructor(
    private readonly origin: ReturnType<typeof originOf>,
    private readonly options: BatchOptions,
  ) {}

  /** Makes the folder of the results, names them and, with `resume`, leaves out those that an earlier manifest says are done and that are there. */
  static async start(identity: ModelIdentity, inputs: readonly string[], options: BatchOptions): Promise<BatchRun> {
    const { out, names = 'path', resume = false, as } = options;
    // Before minutes are spent on what could not be kept.
    await mkdir(out, { recursive: true });
    await access(out, constants.W_OK);
    const settings = { flip: options.flip ?? false, probabilities: options.probabilities ?? false };
    const earlier = (await readManifest(out).catch(() => undefined))?.results ?? [];
    const run = new BatchRun(originOf(identity, settings), options);
    const resultNames = await ResultNames.start(out, names, earlier);
    const digits = Math.max(3, String(inputs.length).length);
    for (const [index, input] of inputs.entries()) {
      const name = as ?? resultNames.of(input, index + 1, digits);
      const { seriesUid, repair } = options;
      const fingerprint = await inputFingerprint(input, identity, { ...settings, seriesUid, repair }, out);
      const entry = earlier.find((result) => result.name === name);
      const isDone = entry?.status === 'done' && entry.fingerprint === fingerprint;
      if (resume && isDone && existsSync(join(out, name, 'report.json'))) {
        run.results.push(entry);
        run.skipped.push(input);
      } else {
        run.tasks.push({ input, name, fingerprint });
      }
    }
    // Results that this call does not touch stay listed.
    const touched = new Set([...run.results, ...run.tasks].map(({ name }) => name));
    run.results.push(...earlier.filter(({ name }) => !touched.has(name)));
    return run;
  }

  /** Where the result of a task lies. */
  folderOf({ name }: BatchTask): string {
    return join(this.options.out, name);
  }

  /**
   * Does a task. One that fails is listed, and does not stop the others; a manifest that cannot be written is no fault of the
   * scan and does.
   *
   * @throws the signal's reason if it was aborted meanwhile.
   */
  async attempt(task: BatchTask, work: () => Promise<Prediction>): Promise<void> {
    const outcome = await work().catch((error: unknown) => {
      this.options.signal?.throwIfAborted();
      return error instanceof Error ? error : new Error(String(error));
    });
    if (outcome instanceof Error) {
      this.failures.push({ input: task.input, name: task.name, error: outcome });
      await this.record(task, { status: 'failed', error: outcome.message });
    } else {
      this.predictions.push(outcome);
      await this.record(task, { status: 'done' });
    }
  }

  get result(): PredictResult {
    return { predictions: this.predictions, failures: this.failures, skipped: this.skipped };
  }

  private async record(task: BatchTask, outcome: Pick<ManifestResult, 'status' | 'error'>): Promise<void> {
    // Whole paths: the same words may name another input in another working folder.
    const input = resolve(task.input);
    this.results.push({ ...task, input, ...outcome, finished: new Date().toISOString(), ...this.origin });
    // A process that does one scan for another leaves the manifest to that one.
    if (this.options.as === undefined) await writeManifest(this.options.out, this.results);
  }
}
