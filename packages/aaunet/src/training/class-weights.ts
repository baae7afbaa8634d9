import { CLASS_COUNT } from '@aaunet/imaging';

import type { CaseCounts } from '../datasets/sampler.js';
import type { TrainConfig } from './config.js';

/**
 * The focal loss's weights by label id: the types' are inverse to the root of their pixel counts in the training split,
 * the median type's 1, and capped; the background's is fixed. A type that does not occur has the largest weight allowed.
 */
export function classWeights(cases: readonly CaseCounts[], options: TrainConfig['classWeights']): number[] {
  if (options.values) return options.values;
  const pixels = new Array<number>(CLASS_COUNT).fill(0);
  for (const { counts } of cases)
    for (const slice of counts) for (const id of pixels.keys()) pixels[id]! += slice[id] ?? 0;
  const rarity = pixels.slice(1).map((count) => (count > 0 ? 1 / Math.sqrt(count) : Infinity));
  // Not the mean: one type of a few pixels would push all others to the lower cap.
  const known = rarity.filter(Number.isFinite).sort((a, b) => a - b);
  const median = known[Math.floor(known.length / 2)] ?? 1;
  const cap = (value: number): number => Math.min(options.max, Math.max(options.min, value));
  const round = (value: number): number => Number(value.toFixed(4));
  return [options.background, ...rarity.map((value) => round(cap(value / median)))];
}
