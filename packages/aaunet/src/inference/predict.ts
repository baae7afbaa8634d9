import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Volume, fromCanonical, toCanonical, toHuVolume } from '@aaunet/imaging';
import { type ReadVolume, readVolume, writeNiftiFile } from '@aaunet/imaging/node';
import { SOFTWARE } from '../version.js';
import type { EngineOptions, SegmentationEngine } from './engine.js';
import { BatchRun } from './batch-run.js';
import { coverageProblems } from './coverage.js';
import { dicomOrigin, writeDicomResults } from './dicom-results.js';
import { expandInputs } from './expand-inputs.js';
import { predictInProcesses } from './jobs.js';
import { writeOutputs } from './outputs.js';
import type { Problem, SegmentationReport } from './report.js';

/** What happens during a prediction. */
export type PredictEvent =
  | {
      readonly type: 'input';
      readonly input: string;
      /** Folder of its result in `out`. */
      readonly name: string;
      readonly index: number;
      readonly count: number;
      readonly slices: number;
    }
  | { readonly type: 'progress'; readonly input: string; readonly done: number; readonly total: number }
  | { readonly type: 'problem'; readonly input: string; readonly name: string; readonly problem: Problem };

export interface PredictRunOptions {
  /** Folder that gets a folder for each input. */
  readonly out: string;
  readonly onEvent?: ((event: PredictEvent) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** DICOM series to read (Series Instance UID); where absent, the most suitable one. */
  readonly seriesUid?: string | undefined;
  /** Whether known faults of values are mended, which is reported either way; true where absent. */
  readonly repair?: boolean | undefined;
  /** Also writes the types' probabilities, as NIfTI and for DICOM input as a fractional Segmentation. */
  readonly probabilities?: boolean | undefined;
  /** Recorded in the manifest; the engine must have been loaded with it. */
  readonly flip?: boolean | undefined;
  /** Result folders named after the inputs, or study-001 and so on where paths may tell who was scanned. */
  readonly names?: 'path' | 'number' | undefined;
  /** Leaves out inputs that the manifest in `out` says are done with these weights and options. */
  readonly resume?: boolean | undefined;
}

export interface PredictOptions extends PredictRunOptions, EngineOptions {
  /** A run folder, a `.safetensors` file or an `.onnx` file; several decide together. */
  readonly model: string | readonly string[];
  /** Processes that work side by side, each on one scan; with more than one a crash costs one scan only. */
  readonly jobs?: number | undefined;
}

export interface Prediction {
  readonly input: string;
  readonly folder: string;
  readonly report: SegmentationReport;
}

export interface PredictResult {
  readonly predictions: readonly Prediction[];
  /** Inputs that could not be predicted; the others were. */
  readonly failures: readonly { readonly input: string; readonly name: string; readonly error: Error }[];
  /** Inputs that an earlier call had done and `resume` left out. */
  readonly skipped: readonly string[];
}

/** What the reader of a result should know about the input. */
export function inputProblems(read: ReadVolume, scan: Volume<Int16Array>): Problem[] {
  const problems: Problem[] = [];
  const found = read.source === 'dicom' ? read.series.problems : read.header.problems;
  problems.push(...found.map(({ code, message }) => ({ code, message })));
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
  { out, onEvent, signal, probabilities, seriesUid, repair }: PredictRunOptions,
): Promise<Prediction> {
  const read = await readVolume(input, { seriesUid, repair });
  const scan = toHuVolume(read.volume);
  const { volume: canonical, map } = toCanonical(scan);
  const origin = read.source === 'dicom' ? await dicomOrigin(read.series) : undefined;
  const problems = [...inputProblems(read, scan), ...(origin?.problems ?? []), ...coverageProblems(canonical)];
  onEvent?.({ type: 'input', input, name, ...at, slices: canonical.slices });
  const segmentOptions = {
    signal,
    onProgress: (done: number, total: number) => onEvent?.({ type: 'progress', input, done, total }),
  };
  if (probabilities && !engine.segmentWithProbabilities) {
    throw new Error('Expected a model that gives probabilities, found one that gives labels alone; leave them out.');
  }
  const probable = probabilities ? await engine.segmentWithProbabilities!(canonical, segmentOptions) : undefined;
  const found = probable?.labels ?? (await engine.segment(canonical, segmentOptions));
  signal?.throwIfAborted();
  const labelMap = fromCanonical(found.data, map);
  const isAxial = Math.abs(map.steps[2]) === scan.rows * scan.columns;
  if (!isAxial) {
    problems.push({
      code: 'not-axial',
      message: 'The file does not store axial slices; slice numbers count axial slices from inferior.',
    });
  }
  if (engine.identity.approximateHu) {
    problems.push({
      code: 'approximate-hu',
      message:
        'The network was trained on approximate HU, computed from pictures of a display window; it may do worse on real ones.',
    });
  }
  for (const problem of problems) onEvent?.({ type: 'problem', input, name, problem });
  const context = { name, source: read.source, model: engine.identity, problems, software: SOFTWARE };
  const view = isAxial ? { scan, labelMap } : { scan: canonical, labelMap: { ...canonical, data: found.data } };
  const maps = probable?.probabilities.map(({ data }) => fromCanonical(data, map));
  const further = async (into: string, report: SegmentationReport): Promise<void> => {
    for (const [index, type] of report.types.entries()) {
      if (maps && type.assessed)
        await writeNiftiFile(join(into, `probability-${type.name}.nii.gz`), asShares(maps[index]!));
    }
    if (origin?.source) await writeDicomResults(into, origin.source, labelMap, report, maps);
  };
  const { folder, report } = await writeOutputs(out, view.scan, view.labelMap, context, labelMap, further);
  return { input, folder, report };
}

/** Probabilities of 0 to 255 as 0 to 1. */
function asShares(volume: Volume<Uint8Array>): Volume<Float32Array> {
  return { ...volume, data: Float32Array.from(volume.data, (value) => value / 255) };
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
  const run = await BatchRun.start(engine.identity, inputs, options);
  for (const [index, task] of run.tasks.entries()) {
    options.signal?.throwIfAborted();
    const at = { index, count: run.tasks.length };
    await run.attempt(task, () => predictOne(engine, task.input, task.name, at, options));
  }
  return run.result;
}

/**
 * Segments scans (NIfTI files, DICOM folders and zip archives, single files of a DICOM series) with a trained network and writes
 * OUT/<name>/{segmentation.nii.gz, report.json, volumes.csv, montage.png, report.html} for each, for DICOM input
 * {segmentation.dcm, report.dcm} too, and OUT/manifest.json. A folder of studies or of NIfTI files stands for all of them.
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
  const scans = await expandInputs(inputs);
  const engine = await loadEngine(options.model, options);
  try {
    if ((options.jobs ?? 1) > 1 && scans.length > 1) return await predictInProcesses(engine.identity, scans, options);
    return await predictWith(engine, scans, options);
  } finally {
    await engine.close();
  }
}
