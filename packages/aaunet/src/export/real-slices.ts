import { SquarePlane, stackThree, toCanonical, windowToInput, type Volume } from '@aaunet/imaging';

import { readDataset } from '../datasets/dataset.js';
import { readCase, type LabelledScan } from '../datasets/read-case.js';
import { readSplits } from '../datasets/splits.js';
import { generatePhantom } from '../phantom/phantom.js';
import type { ModelFile } from '../training/model-file.js';
import { keptSplits } from '../training/run-data.js';
import { readRunConfig } from '../training/run-folder.js';
import { spread } from './eight-bits.js';

/** Slices as a scanner gives them: noise tells little of what a network does with heads. */
export interface RealSlices {
  readonly source: 'training data' | 'phantoms';
  /** 3 x S x S each, as the network sees them. */
  readonly images: readonly Float32Array[];
}

const CASES = 2;
/** The largest size at which phantoms are computed; others are resized. */
const PHANTOM_SIZE = 512;

/** Undefined where it is not known which cases the run was trained on. @throws where its data are not at hand */
async function readTrainingScans(run: string): Promise<LabelledScan[] | undefined> {
  const { data } = await readRunConfig(run);
  const dataset = await readDataset(data);
  const splits = (await keptSplits(run, dataset)) ?? (await readSplits(dataset));
  if (splits === undefined) return undefined;
  const cases = dataset.cases.filter(({ name }) => splits.train.includes(name));
  const scans: LabelledScan[] = [];
  for (const entry of spread(cases, CASES)) scans.push(await readCase(entry, dataset));
  return scans;
}

function phantomScans({ size }: ModelFile): LabelledScan[] {
  return Array.from({ length: CASES }, (_, seed) => {
    const { image, labels } = generatePhantom({ seed, size: Math.min(size, PHANTOM_SIZE), draft: true });
    return { image: toCanonical(image).volume, labels: toCanonical(labels).volume };
  });
}

/** The slice with most of the lesions, and the middle one. */
function telling({ slices, rows, columns, data }: Volume<Uint8Array>): number[] {
  const plane = rows * columns;
  let [most, chosen] = [-1, 0];
  for (let k = 0; k < slices; k++) {
    const marked = data.subarray(k * plane, (k + 1) * plane).reduce((sum, label) => sum + (label > 0 ? 1 : 0), 0);
    if (marked > most) [most, chosen] = [marked, k];
  }
  const middle = Math.floor(slices / 2);
  if (slices === 1) return [chosen];
  return [chosen, middle === chosen ? middle - 1 : middle];
}

/**
 * A few slices of two scans with lesions: of the data that the run was trained on where they are at hand, else of phantoms.
 *
 * @param run a run folder; where it is none, or its data are gone, phantoms stand in
 */
export async function realSlices(run: string, file: ModelFile): Promise<RealSlices> {
  const training = await readTrainingScans(run).catch(() => undefined);
  const images = (training ?? phantomScans(file)).flatMap(({ image, labels }) => {
    const square = new SquarePlane(image, file.size, file.fit).scan(image);
    return telling(labels).map((k) => windowToInput(stackThree(square, k), file.window));
  });
  return { source: training ? 'training data' : 'phantoms', images };
}
