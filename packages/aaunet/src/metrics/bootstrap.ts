import { randomStream } from '../random.js';

/** How intervals are drawn; every figure with an interval is repeated exactly by the same options. */
export interface BootstrapOptions {
  /** Number of resamples; 1000. */
  readonly resamples?: number | undefined;
  /** Part of the resampled values inside the interval; 0.95. */
  readonly level?: number | undefined;
  readonly seed?: number | undefined;
}

/** A figure with its interval; both ends are NaN where no resample has a value. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Settings that evaluation.json records where it gives intervals. */
export const BOOTSTRAP_DEFAULTS = { resamples: 1000, level: 0.95, seed: 20220 } as const;

/**
 * The p-quantile (0 to 1) of values in ascending order, interpolated between neighbours as NumPy's default does; NaN of
 * no values.
 */
export function quantileOfSorted(sorted: ArrayLike<number>, p: number): number {
  if (sorted.length === 0) return NaN;
  const place = p * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below]!;
  const high = sorted[Math.min(sorted.length - 1, below + 1)]!;
  return low + (high - low) * (place - below);
}

/**
 * Draws `resamples` samples with replacement, each as many units as there are, and gives each sample's unit indices to
 * `visit`. The draws depend on the seed and the number of units alone, so that paired figures see the same patients.
 */
export function forEachResample(
  units: number,
  { resamples = BOOTSTRAP_DEFAULTS.resamples, seed = BOOTSTRAP_DEFAULTS.seed }: BootstrapOptions,
  visit: (drawn: Int32Array) => void,
): void {
  const random = randomStream(`bootstrap, seed ${seed}, ${units} units`);
  const drawn = new Int32Array(units);
  for (let resample = 0; resample < resamples; resample++) {
    for (let i = 0; i < units; i++) drawn[i] = random.integer(units);
    visit(drawn);
  }
}

/**
 * Several figures of one list of independent units (patients) with percentile bootstrap intervals: resample the units
 * with replacement, compute all figures again, take the (1 - level) / 2 and (1 + level) / 2 quantiles. Resamples in which a
 * figure is undefined (NaN) do not count for it. Efron and Tibshirani, An Introduction to the Bootstrap, 1993.
 *
 * @param units everything known of one patient, an item a patient.
 * @param statistics the figures of a list of units, always equally many; NaN where undefined.
 * @throws Error if an option is out of range.
 */
export function bootstrapIntervals<T>(
  units: readonly T[],
  statistics: (sample: readonly T[]) => readonly number[],
  options: BootstrapOptions = {},
): Interval[] {
  const { resamples = BOOTSTRAP_DEFAULTS.resamples, level = BOOTSTRAP_DEFAULTS.level } = options;
  if (!Number.isInteger(resamples) || resamples < 1 || !(level > 0 && level < 1)) {
    throw new Error(`Expected at least one resample and a level between 0 and 1, found ${resamples} and ${level}.`);
  }
  const values = statistics(units);
  const drawnValues = values.map((): number[] => []);
  if (units.length > 0) {
    forEachResample(units.length, options, (drawn) => {
      const sample = Array.from(drawn, (index) => units[index]!);
      statistics(sample).forEach((value, index) => {
        if (!Number.isNaN(value)) drawnValues[index]!.push(value);
      });
    });
  }
  return values.map((value, index) => {
    const sorted = Float64Array.from(drawnValues[index]!).sort();
    return {
      value,
      low: quantileOfSorted(sorted, (1 - level) / 2),
      high: quantileOfSorted(sorted, (1 + level) / 2),
    };
  });
}

/** One figure with its bootstrap interval over units (patients); see `bootstrapIntervals`. */
export function bootstrapInterval<T>(
  units: readonly T[],
  statistic: (sample: readonly T[]) => number,
  options: BootstrapOptions = {},
): Interval {
  return bootstrapIntervals(units, (sample) => [statistic(sample)], options)[0]!;
}

/** Items grouped by a key, in the order in which the keys first appear: cases by patient. */
export function groupBy<T>(items: readonly T[], key: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return [...groups.values()];
}
