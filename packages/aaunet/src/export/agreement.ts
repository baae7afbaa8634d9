import { CLASS_COUNT, likeliestLabels } from '@aaunet/imaging';
import { fromTypedArray, noGrad, tidy } from '@aaunet/torch';

import { unmarkedTypes } from '../datasets/annotation.js';
import type { OnnxNetwork } from '../inference/onnx-network.js';
import type { TrainedNetwork } from '../inference/torch-network.js';
import type { ExportPrecision } from './exported-model.js';
import type { RealSlices } from './real-slices.js';

/** How an exported file computes beside LibTorch in float32, on the same slices. */
export interface Agreement {
  readonly slices: number;
  readonly source: RealSlices['source'];
  /** Largest difference of a logit. */
  readonly largestDifference: number;
  /** Largest logit of LibTorch's, by size. */
  readonly largestLogit: number;
  /** Share of the pixels that get the same label. */
  readonly sameLabels: number;
}

/** Mean Dice of the validation cases before and after rounding to 8 bits. */
export interface RoundedDice {
  readonly fp32: number | null;
  readonly int8: number | null;
  readonly slices: number;
}

/**
 * What a file must keep to be written: logits as a part of the largest, labels as a share of the pixels. 8 bits round
 * logits coarsely by design and are judged by labels and Dice.
 */
export const TOLERANCE = {
  fp32: { logits: 1e-4, labels: 0.999 },
  fp16: { logits: 3e-2, labels: 0.99 },
  int8: { logits: Infinity, labels: 0.95 },
} as const satisfies Record<ExportPrecision, { logits: number; labels: number }>;

/** Mean Dice that rounding to 8 bits may cost: beyond the first a warning is given, beyond the second nothing written. */
export const DICE_LOSS = { warned: 0.01, refused: 0.05 } as const;

export async function compareWithLibTorch(
  onnx: OnnxNetwork,
  { network, file }: TrainedNetwork,
  { source, images }: RealSlices,
  batch: number,
): Promise<Agreement> {
  const each = 3 * file.size ** 2;
  let [largestDifference, largestLogit, same, pixels] = [0, 0, 0, 0];
  for (let start = 0; start < images.length; start += batch) {
    const part = images.slice(start, start + batch);
    const count = part.length;
    const input = new Float32Array(count * each);
    for (const [i, image] of part.entries()) input.set(image, i * each);
    const wanted = tidy(() =>
      noGrad(() =>
        network
          .forward(fromTypedArray(input, [count, 3, file.size, file.size]))
          .contiguous()
          .data('float32')
          .slice(),
      ),
    );
    const found = await onnx.run(input, count);
    for (let i = 0; i < wanted.length; i++) {
      largestLogit = Math.max(largestLogit, Math.abs(wanted[i]!));
      const apart = Math.abs(found[i]! - wanted[i]!);
      // A NaN is larger than nothing, but must not be lost.
      if (apart > largestDifference || Number.isNaN(apart)) largestDifference = apart;
      if (!Number.isFinite(largestDifference)) break;
    }
    // Such logits have no likeliest label.
    if (!Number.isFinite(largestDifference)) break;
    const shape = { count, classes: CLASS_COUNT, pixels: file.size ** 2, unmarked: unmarkedTypes(file) };
    const [before, after] = [likeliestLabels(wanted, shape), likeliestLabels(found, shape)];
    same += before.reduce((sum, label, i) => sum + (label === after[i] ? 1 : 0), 0);
    pixels += before.length;
  }
  return { slices: images.length, source, largestDifference, largestLogit, sameLabels: same / pixels };
}

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

/** @throws Error of one sentence if the file does not compute what LibTorch does, to its precision's tolerance. */
export function checkAgreement(agreement: Agreement, precision: ExportPrecision): void {
  const { largestDifference, largestLogit, sameLabels, slices, source } = agreement;
  const { logits, labels } = TOLERANCE[precision];
  const where = `on ${slices} slices of ${source}; nothing was written`;
  if (!(largestDifference <= logits * Math.max(1, largestLogit))) {
    throw new Error(
      `Expected ONNX Runtime to compute in ${precision} what LibTorch does to ${logits} of the largest logit (${largestLogit.toPrecision(3)}), found ${largestDifference.toPrecision(3)} apart ${where}.`,
    );
  }
  if (!(sameLabels >= labels)) {
    throw new Error(
      `Expected ${precision} to give at least ${percent(labels)} of the pixels the label that LibTorch gives, found ${percent(sameLabels)} ${where}; export in a higher precision.`,
    );
  }
}

/**
 * What 8 bits cost in Dice, as a warning where it is more than a little.
 *
 * @throws Error of one sentence if it is too much to be of use.
 */
export function checkDice({ fp32, int8, slices }: RoundedDice): string | undefined {
  if (fp32 === null || int8 === null) return 'The validation slices have no lesion to measure the loss of int8 on.';
  const loss = fp32 - int8;
  const found = `mean Dice falls from ${fp32.toFixed(3)} to ${int8.toFixed(3)} on ${slices} validation slices`;
  if (loss > DICE_LOSS.refused) {
    throw new Error(
      `Expected int8 to cost at most ${DICE_LOSS.refused} of mean Dice, but the ${found}; nothing was written, export in fp16.`,
    );
  }
  return loss > DICE_LOSS.warned ? `With int8 the ${found}; fp16 costs less.` : undefined;
}
