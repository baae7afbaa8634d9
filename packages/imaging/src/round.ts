/** Adding this to a double of less than 2^51 leaves no bits for a fraction, so that the processor rounds it away. */
const NO_FRACTION = 1.5 * 2 ** 52;

/**
 * The nearest whole number, of two the even one (IEEE 754's default, as NumPy's `rint` rounds; `Math.round` takes halves
 * upwards, which shifts a mean). Values of 2^51 and beyond, infinities and NaN come back as they are.
 */
export function roundHalfToEven(value: number): number {
  return Math.abs(value) < 2 ** 51 ? value + NO_FRACTION - NO_FRACTION : value;
}

/** A value as whole HU: {@link roundHalfToEven}, clamped to int16. */
export function toInt16(value: number): number {
  return Math.max(-32768, Math.min(32767, roundHalfToEven(value)));
}
