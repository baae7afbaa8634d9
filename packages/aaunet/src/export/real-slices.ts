import { SquarePlane, stackThree, toCanonical, windowToInput, type Volume } from '@aaunet/imaging';

import { labelCount, readCase, type LabelledScan } from '../datasets/read-case.js';
import { generatePhantom } from '../phantom/phantom.js';
import type { ModelFile } from '../training/model-file.js';
import { withRunData } from '../training/run-data.js';
import { readRunConfig } from '../training/run-folder.js';

/** Slices as a scanner gives them: noise tells little of what a network does with heads. */
export interface RealSlices {
  readonly source: 'training data' | 'phantoms';
  /** 3 x S x S each, as the network sees them. */
  readonly images: readonly Float32Array[];
}

const CASES = 2;
/** The largest size at which phantoms are computed; others are resized. */
const PHANTOM_SIZE = 512;

async function readTrainingScans(run: string): Promise<LabelledScan[]> {
  return withRunData(run, await readRunConfig(run), {}, async ({ dataset, splits }) => {
    const cases = dataset.cases.filter(({ name }) => splits.train.includes(name));
    const chosen = Array.from(
      { length: Math.min(CASES, cases.length) },
      (_, i) => cases[Math.floor((i * cases.length) / CASES)]!,
    );
    const scans: LabelledScan[] = [];
    for (const entry of chosen) scans.push(await readCase(entry, labelCount(dataset)));
    return scans;
  });
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
