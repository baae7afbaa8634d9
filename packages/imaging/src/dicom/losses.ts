import type { DecodedSlice } from './pixels.js';
import type { DicomProblem } from './series.js';
import { count } from '../count.js';
import type { DicomSlice, LossyCompression, PixelEncoding } from './slice.js';
import type { PixelCodec } from './syntaxes.js';

/** Defined terms of Lossy Image Compression Method (PS3.3, C.7.6.1.1.5.1). */
const METHODS: Readonly<Partial<Record<PixelCodec, string>>> = {
  jpeg: 'ISO_10918_1',
  'jpeg-ls': 'ISO_14495_1',
  'jpeg-2000': 'ISO_15444_1',
  htj2k: 'ISO_15444_15',
};

/** Gathers what compression has changed in the slices of a series. */
export class Losses {
  #slices = 0;
  #names = new Set<string>();
  #maxError = 0;
  #isUnbounded = false;
  #ratios: number[] = [];
  #compression: LossyCompression | undefined;

  /** What the first slice with losses went through; undefined where there are none. */
  get compression(): LossyCompression | undefined {
    return this.#compression;
  }

  add({ pixels }: DicomSlice, { maxError, ratio }: DecodedSlice): void {
    const changedNow = maxError !== 0;
    // The syntax may allow loss where the code stream has none; a header that admits loss is believed.
    if (!changedNow && pixels.statedLoss === undefined) return;
    this.#compression ??= completed(pixels, changedNow, ratio);
    this.#slices++;
    this.#names.add(changedNow ? pixels.syntaxName : 'an earlier compression');
    if (maxError === undefined || !changedNow) this.#isUnbounded = true;
    else this.#maxError = Math.max(this.#maxError, maxError);
    const known = pixels.statedLoss?.ratios.at(-1) ?? (changedNow ? ratio : undefined);
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
        message: `${count(this.#slices, 'slice')} ${this.#slices === 1 ? 'was' : 'were'} compressed with loss (${[...this.#names].join(', ')}): ${error}; ${ratio}. Small or faint lesions may be lost or made up: use the original images where there are any.`,
      },
    ];
  }
}

/** What a header states, or one compression with what it leaves out taken from the file: DICOM wants both wherever there was loss. */
function completed(
  { codec, statedLoss }: PixelEncoding,
  changedNow: boolean,
  measured: number | undefined,
): LossyCompression {
  const { ratios, methods } = statedLoss ?? { ratios: [], methods: [] };
  if (ratios.length > 0 && ratios.length === methods.length) return { ratios, methods };
  const method = (changedNow ? METHODS[codec] : methods.at(-1)) ?? 'UNKNOWN';
  const ratio = ratios.at(-1) ?? (changedNow ? measured : undefined) ?? 1;
  return { ratios: [ratio], methods: [method] };
}
