import { ImagingError } from './imaging-error.js';

/** A range of Hounsfield units: centre - width / 2 is black (0), centre + width / 2 is white (1). */
export interface HuWindow {
  readonly center: number;
  readonly width: number;
}

/** What the networks see: -50 to 150 HU. */
export const NETWORK_WINDOW: HuWindow = { center: 50, width: 200 };

/** Windows in which head CT is read. */
export const DISPLAY_WINDOWS = {
  brain: { center: 40, width: 80 },
  subdural: { center: 75, width: 215 },
  bone: { center: 600, width: 2800 },
} as const satisfies Record<string, HuWindow>;

type HuArray = Int16Array | Float32Array;

/** HU as display gray: 0 at and below the window, 255 at and above it, rounded in between; NaN is black. */
export function windowToGray(hu: HuArray, window: HuWindow): Uint8ClampedArray<ArrayBuffer> {
  const { low, factor } = rangeOf(window);
  const gray = new Uint8ClampedArray(hu.length);
  for (let index = 0; index < hu.length; index++) gray[index] = (hu[index]! - low) * factor * 255;
  return gray;
}

/**
 * HU as network input: (HU - low) / width, clamped to 0..1; NaN is 0.
 *
 * @param out where to write, of the same length; a new array where absent
 */
export function windowToInput(
  hu: HuArray,
  window: HuWindow = NETWORK_WINDOW,
  out: Float32Array = new Float32Array(hu.length),
): Float32Array {
  if (out.length !== hu.length) {
    throw new ImagingError('bad-argument', `Expected room for ${hu.length} values, found ${out.length}.`);
  }
  const { low, factor } = rangeOf(window);
  for (let index = 0; index < hu.length; index++) {
    const value = (hu[index]! - low) * factor;
    out[index] = value > 0 ? Math.min(value, 1) : 0;
  }
  return out;
}

function rangeOf({ center, width }: HuWindow): { low: number; factor: number } {
  if (!Number.isFinite(center) || !(width > 0) || !Number.isFinite(width)) {
    throw new ImagingError(
      'bad-argument',
      `Expected a window with a width above 0 HU, found centre ${center}, width ${width}.`,
    );
  }
  return { low: center - width / 2, factor: 1 / width };
}
