import type { DecodedSlice } from './pixels.js';
import type { DicomProblem } from './series.js';
import { count } from './series-problems.js';
import type { DicomSlice } from './slice.js';

/** Gathers what compression has changed in the slices of a series. */
export class Losses {
  #slices = 0;
  #names = new Set<string>();
  #maxError = 0;
  #isUnbounded = false;
  #ratios: number[] = [];

  add({ pixels }: DicomSlice, { maxError, ratio }: DecodedSlice): void {
    const changedNow = maxError !== 0;
    const changedBefore = pixels.lossy && pixels.codec === 'native';
    // The syntax may allow loss where the code stream has none; a header that admits loss is believed.
    if (!changedNow && !changedBefore && pixels.lossyRatio === undefined) return;
    this.#slices++;
    this.#names.add(changedNow ? pixels.syntaxName : 'an earlier compression');
    if (maxError === undefined || !changedNow) this.#isUnbounded = true;
    else this.#maxError = Math.max(this.#maxError, maxError);
    const known = pixels.lossyRatio ?? (changedNow ? ratio : undefined);
    if (known !== undefined) this.#ratios.push(known);
  }

  problems(): DicomProblem[] {
    if (this.#slices === 0) return [];
    const ratios = this.#ratios.toSorted((a, b) => a - b);
    const [low, high] = [ratios[0], ratios.at(-1)].map((ratio) => ratio?.toFixed(1));
    const ratio =
      low === undefined || high === undefined
        ? 'the ratio is not known'
        : `compression ratio ${low === high ? low : `${low} to ${high}`} : 1`;
    const error = this.#isUnbounded
      ? 'how far HU are off is not bounded'
      : `HU are off by up to ${Number(this.#maxError.toFixed(3))} (NEAR ${Number(this.#maxError.toFixed(3))})`;
    return [
      {
        code: 'lossy-compression',
        message: `${count(this.#slices, 'slice')} ${this.#slices === 1 ? 'was' : 'were'} compressed with loss (${[...this.#names].join(', ')}): ${error}; ${ratio}. Use the original images where there are any.`,
      },
    ];
  }
}
