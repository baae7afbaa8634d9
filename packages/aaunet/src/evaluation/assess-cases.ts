import { setImmediate } from 'node:timers/promises';

import { CLASS_COUNT, SquarePlane, type LabelName } from '@aaunet/imaging';
import { tidy } from '@aaunet/torch';
import type { Layer } from '@aaunet/torch/nn';

import { unmarkedTypes, UNKNOWN_LABEL } from '../datasets/annotation.js';
import type { Dataset } from '../datasets/dataset.js';
import { inBatches } from '../datasets/batches.js';
import { loadBatches } from '../datasets/loader.js';
import { readCase } from '../datasets/read-case.js';
import type { SliceCache } from '../datasets/slice-cache.js';
import { segmentProbabilities } from '../inference/segment.js';
import { assess, type Assessment } from '../metrics/assessment.js';
import { CalibrationAccumulator, NEGLIGIBLE } from '../metrics/calibration.js';
import { recordCase, type CaseRecord } from '../metrics/case-record.js';
import { DiceAccumulator, type EmptyConvention, type SegmentationScores } from '../metrics/dice.js';
import { confuseLesions, emptyConfusion } from '../metrics/lesion-confusion.js';
import type { MissedConvention } from '../metrics/surface.js';
import type { TrainConfig } from '../training/config.js';
import { keepCasePicture, type CasePicture } from './case-picture.js';
import { leaveOutUnknown } from './score.js';

export interface AssessOptions {
  readonly config: Pick<TrainConfig, 'batch' | 'fit' | 'window' | 'device' | 'precision'>;
  readonly dataset: Dataset;
  readonly empty: EmptyConvention;
  readonly missed: MissedConvention;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Scores of a split, and of every case the slices that show it best. */
export interface AssessedCases {
  readonly scores: SegmentationScores;
  readonly assessment: Assessment;
  readonly pictures: readonly CasePicture[];
  /** Time that the network took, without the metrics. */
  readonly seconds: number;
}

/** How far probabilities can be believed, over everything added. */
class SplitCalibration {
  readonly pixels = new CalibrationAccumulator();
  readonly lesions = new CalibrationAccumulator();
  readonly types = Array.from({ length: CLASS_COUNT }, () => new CalibrationAccumulator());

  /** Adds the probabilities [8, pixels] of a slice; returns the likeliest labels and every label's largest probability where the truth is known. */
  add(probabilities: Float32Array, truth: Uint8Array): { labels: Uint8Array; largest: Float32Array } {
    const pixels = truth.length;
    const labels = new Uint8Array(pixels);
    const largest = new Float32Array(CLASS_COUNT);
    for (let pixel = 0; pixel < pixels; pixel++) {
      // Where the truth is not known nothing comes true or fails.
      const isKnown = truth[pixel] !== UNKNOWN_LABEL;
      let best = 0;
      for (let label = 0; label < CLASS_COUNT; label++) {
        const probability = probabilities[label * pixels + pixel]!;
        if (probability > probabilities[best * pixels + pixel]!) best = label;
        if (isKnown && probability > largest[label]!) largest[label] = probability;
        const isTrue = truth[pixel] === label;
        if (isKnown && label > 0 && (isTrue || probability >= NEGLIGIBLE)) this.types[label]!.add(probability, isTrue);
      }
      labels[pixel] = best;
      if (!isKnown) continue;
      const lesion = 1 - probabilities[pixel]!;
      if (truth[pixel] !== 0 || lesion >= NEGLIGIBLE) this.types[0]!.add(lesion, truth[pixel] !== 0);
      const confidence = probabilities[best * pixels + pixel]!;
      this.pixels.add(confidence, truth[pixel] === best);
      if (truth[pixel] !== 0 || best !== 0) this.lesions.add(confidence, truth[pixel] === best);
    }
    return { labels, largest };
  }

  get result(): Parameters<typeof assess>[0]['calibration'] {
    return { pixels: this.pixels.result, lesions: this.lesions.result, types: this.types.map(({ result }) => result) };
  }
}

/** What the network says of the case that is being collected, at its own size. */
interface OpenCase {
  readonly name: string;
  readonly predicted: Uint8Array[];
  readonly probabilities: Float32Array[];
}

function joined(slices: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(slices.reduce((sum, slice) => sum + slice.length, 0));
  slices.forEach((slice, k) => {
    out.set(slice, k * slice.length);
  });
  return out;
}

/**
 * Segments every slice of the cases with a network in inference mode and measures every case by every metric against its files'
 * own voxels, as whoever uses a prediction gets it. Calibration compares the network's own pixels. Memory: one case, and of
 * each case the slices that its picture shows.
 */
export async function assessCases(
  network: Layer,
  cache: SliceCache,
  cases: readonly string[],
  options: AssessOptions,
): Promise<AssessedCases> {
  const { config, dataset, empty, missed } = options;
  const annotated: readonly LabelName[] = dataset.annotated;
  const slices = cases.flatMap((name) =>
    Array.from({ length: cache.sliceCount(name) }, (_, slice) => ({ case: name, slice })),
  );
  const settings = { ...config, unmarked: unmarkedTypes(dataset) };
  const dice = new DiceAccumulator(annotated, empty);
  const calibration = new SplitCalibration();
  const lesionConfusion = emptyConfusion();
  const records: CaseRecord[] = [];
  const pictures: CasePicture[] = [];
  const pixels = cache.size ** 2;
  let open: OpenCase | undefined;
  let done = 0;
  let seconds = 0;

  const close = async ({ name, predicted: answered, probabilities }: OpenCase): Promise<void> => {
    const entry = dataset.cases.find((candidate) => candidate.name === name)!;
    const { image, labels } = await readCase(entry, dataset);
    const { data: truth, ...geometry } = labels;
    const { data: predicted } = new SquarePlane(image, cache.size, config.fit).sourceLabelMap(joined(answered));
    leaveOutUnknown(truth, predicted);
    const plane = geometry.rows * geometry.columns;
    for (let start = 0; start < truth.length; start += plane) {
      dice.addSlice(name, truth.subarray(start, start + plane), predicted.subarray(start, start + plane));
    }
    const result = { case: name, patient: entry.patient, geometry, truth, predicted, probabilities };
    records.push(recordCase(result, { annotated, empty, missed }));
    confuseLesions(truth, predicted, geometry, lesionConfusion);
    pictures.push(keepCasePicture(name, geometry, { hu: image.data, truth, predicted }));
  };

  for await (using batch of loadBatches(cache, inBatches(slices, config.batch))) {
    options.signal?.throwIfAborted();
    const truth = batch.labels.data('uint8');
    const started = performance.now();
    const probabilities = tidy(() => segmentProbabilities(network, batch.hu, settings).data('float32').slice());
    seconds += (performance.now() - started) / 1000;
    for (const [i, slice] of batch.slices.entries()) {
      if (open?.name !== slice.case) {
        if (open) await close(open);
        open = { name: slice.case, predicted: [], probabilities: [] };
      }
      const ofSlice = probabilities.subarray(i * CLASS_COUNT * pixels, (i + 1) * CLASS_COUNT * pixels);
      const { labels, largest } = calibration.add(ofSlice, truth.subarray(i * pixels, (i + 1) * pixels));
      open.predicted.push(labels);
      open.probabilities.push(largest);
    }
    done += batch.slices.length;
    options.onProgress?.(done, slices.length);
    await setImmediate();
  }
  if (open) await close(open);
  return {
    scores: dice.finish(),
    assessment: assess({
      cases: records,
      annotated,
      empty,
      missed,
      lesionConfusion,
      calibration: calibration.result,
    }),
    pictures,
    seconds,
  };
}
