import { stat } from 'node:fs/promises';
import { type Volume, fromCanonical, toCanonical, toHuVolume } from '@aaunet/imaging';
import { type ReadVolume, readVolume } from '@aaunet/imaging/node';
import { SOFTWARE } from '../version.js';
import type { EngineOptions, SegmentationEngine } from './engine.js';
import { outputName, writeOutputs } from './outputs.js';
import type { Problem, SegmentationReport } from './report.js';

/** What happens during a prediction. */
export type PredictEvent =
  | {
      readonly type: 'input';
      readonly input: string;
      readonly index: number;
      readonly count: number;
      readonly slices: number;
    }
  | { readonly type: 'progress'; readonly input: string; readonly done: number; readonly total: number }
  | { readonly type: 'problem'; readonly input: string; readonly problem: Problem };

export interface PredictRunOptions {
  /** Folder that gets a folder for each input. */
  readonly out: string;
  readonly onEvent?: ((event: PredictEvent) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** DICOM series to read (Series Instance UID); where absent, the most suitable one. */
  readonly seriesUid?: string | undefined;
  /** Whether known faults of values are mended, which is reported either way; true where absent. */
  readonly repair?: boolean | undefined;
}

export interface PredictOptions extends PredictRunOptions, EngineOptions {
  /** A run folder or a `.safetensors` file. */
  readonly model: string;
}

export interface Prediction {
  readonly input: string;
  readonly folder: string;
  readonly report: SegmentationReport;
}

export interface PredictResult {
  readonly predictions: readonly Prediction[];
  /** Inputs that could not be predicted; the others were. */
  readonly failures: readonly { readonly input: string; readonly error: Error }[];
}

/** What the reader of a result should know about the input. */
export function inputProblems(read: ReadVolume, scan: Volume<Int16Array>): Problem[] {
  const problems: Problem[] = [];
  if (read.source === 'dicom') {
    problems.push(...read.series.problems.map(({ code, message }) => ({ code, message })));
  }
  let [min, max] = [Infinity, -Infinity];
  for (const hu of scan.data) {
    if (hu < min) min = hu;
    if (hu > max) max = hu;
  }
  // Every head scan has air around it and bone in it.
  if (min > -500 || max < 300) {
    problems.push({
      code: 'not-hu',
      message: `Values run from ${min} to ${max}, not as Hounsfield units of a head CT do; the result is doubtful.`,
    });
  }
  return problems;
}

async function predictOne(
  engine: SegmentationEngine,
  input: string,
  name: string,
  at: { readonly index: number; readonly count: number },
  { out, onEvent, signal, seriesUid, repair }: PredictRunOptions,
): Promise<Prediction> {
  const read = await readVolume(input, { seriesUid, repair });
  const scan = toHuVolume(read.volume);
  const { volume: canonical, map } = toCanonical(scan);
  const problems = inputProblems(read, scan);
  onEvent?.({ type: 'input', input, ...at, slices: canonical.slices });
  const found = await engine.segment(canonical, {
    signal,
    onProgress: (done, total) => onEvent?.({ type: 'progress', input, done, total }),
  });
  signal?.throwIfAborted();
  const labelMap = fromCanonical(found.data, map);
  const isAxial = Math.abs(map.steps[2]) === scan.rows * scan.columns;
  if (!isAxial) {
    problems.push({
      code: 'not-axial',
      message: 'The file does not store axial slices; slice numbers count axial slices from inferior.',
    });
  }
  for (const problem of problems) onEvent?.({ type: 'problem', input, problem });
  const context = { name, source: read.source, model: engine.identity, problems, software: SOFTWARE };
  const view = isAxial ? { scan, labelMap } : { scan: canonical, labelMap: { ...canonical, data: found.data } };
  const { folder, report } = await writeOutputs(out, view.scan, view.labelMap, context, labelMap);
  return { input, folder, report };
}

/**
 * Segments scans with a loaded network and writes OUT/<name>/ for each (see `writeOutputs`). An input that fails does not
 * stop the others.
 *
 * @throws the signal's reason if it was aborted.
 */
export async function predictWith(
  engine: SegmentationEngine,
  inputs: readonly string[],
  options: PredictRunOptions,
): Promise<PredictResult> {
  const predictions: Prediction[] = [];
  const failures: { input: string; error: Error }[] = [];
  const names = new Set<string>();
  for (const [index, input] of inputs.entries()) {
    options.signal?.throwIfAborted();
    const name = outputName(input, names);
    names.add(name);
    try {
      predictions.push(await predictOne(engine, input, name, { index, count: inputs.length }, options));
    } catch (error) {
      options.signal?.throwIfAborted();
      failures.push({ input, error: error instanceof Error ? error : new Error(String(error)) });
    }
  }
  return { predictions, failures };
}

/**
 * Segments scans (NIfTI files, DICOM folders and zip archives, single files of a DICOM series) with a trained network and writes
 * OUT/<name>/{segmentation.nii.gz, report.json, volumes.csv, montage.png} for each.
 *
 * @throws Error if an input does not exist or the model cannot be loaded; before anything is written.
 */
export async function predict(inputs: readonly string[], options: PredictOptions): Promise<PredictResult> {
  for (const input of inputs) {
    await stat(input).catch((error: unknown) => {
      throw new Error(`Expected a NIfTI file, a DICOM folder, file or zip archive at ${input}, found nothing there.`, {
        cause: error,
      });
    });
  }
  // Loaded here, so that a wrong path is reported where there is no LibTorch, too.
  const { loadEngine } = await import('./engine.js');
  const engine = await loadEngine(options.model, options);
  try {
    return await predictWith(engine, inputs, options);
  } finally {
    engine.close();
  }
}
