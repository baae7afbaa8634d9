import { type BootstrapOptions, BOOTSTRAP_DEFAULTS, forEachResample, quantileOfSorted } from './bootstrap.js';

/** The difference of two paired figures and how sure it is. */
export interface PairedTest {
  /** Units that both have a figure for. */
  readonly n: number;
  /** Mean of second less first. */
  readonly difference: number;
  /** 95 % interval of the difference, paired percentile bootstrap. */
  readonly low: number;
  readonly high: number;
  /** Two-sided p of Wilcoxon's signed-rank test; NaN where no pair differs. */
  readonly p: number;
}

/** Exact up to this number of pairs that differ; the normal approximation beyond. */
const EXACT_LIMIT = 50;

/** Error function to 1e-15: its series near 0, the continued fraction of its complement far out. */
function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (x < 2.5) {
    let [term, sum] = [x, x];
    for (let k = 1; Math.abs(term) > 1e-17 * sum && k < 200; k++) {
      term *= (-x * x) / k;
      sum += term / (2 * k + 1);
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let k = 60; k >= 1; k--) fraction = k / 2 / (x + fraction);
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * (x + fraction));
}

/**
 * Two-sided p of Wilcoxon's signed-rank test for differences: zeros are left out, ties share their mean rank. Exact, over all
 * signs of the ranks there are, for up to 50 differences; else by the normal approximation with the correction for ties (as
 * SciPy's `wilcoxon`, which is exact for as many without ties, and for up to 13 with).
 */
export function wilcoxonSignedRank(differences: readonly number[]): number {
  const sorted = differences.filter((value) => value !== 0).sort((a, b) => Math.abs(a) - Math.abs(b));
  const n = sorted.length;
  if (n === 0) return NaN;
  // Twice the ranks, which are whole numbers where ties share a mean rank.
  const ranks: number[] = [];
  let [positive, tieTerm] = [0, 0];
  for (let start = 0; start < n;) {
    let end = start;
    while (end < n && Math.abs(sorted[end]!) === Math.abs(sorted[start]!)) end++;
    const size = end - start;
    tieTerm += size ** 3 - size;
    for (let i = start; i < end; i++) {
      ranks.push(start + 1 + end);
      if (sorted[i]! > 0) positive += start + 1 + end;
    }
    start = end;
  }
  const total = n * (n + 1);
  const smaller = Math.min(positive, total - positive);
  if (n <= EXACT_LIMIT) {
    // ways[w]: subsets of the doubled ranks that add up to w.
    const ways = new Float64Array(total + 1);
    ways[0] = 1;
    for (const rank of ranks) for (let w = total; w >= rank; w--) ways[w]! += ways[w - rank]!;
    let below = 0;
    for (let w = 0; w <= smaller; w++) below += ways[w]!;
    return Math.min(1, (2 * below) / 2 ** n);
  }
  const variance = (n * (n + 1) * (2 * n + 1)) / 24 - tieTerm / 48;
  const z = (smaller - total / 2) / 2 / Math.sqrt(variance);
  return Math.min(1, erfc(Math.abs(z) / Math.SQRT2));
}

/** Holm's correction: p values, in their order, such that each may be compared with the level of the whole family. */
export function holm(ps: readonly number[]): number[] {
  const order = ps.map((p, index) => ({ p, index })).filter(({ p }) => !Number.isNaN(p));
  order.sort((a, b) => a.p - b.p);
  const corrected = ps.map(() => NaN);
  let largest = 0;
  order.forEach(({ p, index }, rank) => {
    largest = Math.max(largest, Math.min(1, p * (order.length - rank)));
    corrected[index] = largest;
  });
  return corrected;
}

/**
 * Compares two figures of the same units (patients): the mean difference with its paired bootstrap interval and
 * Wilcoxon's p. Units where either is NaN are left out.
 */
export function pairedTest(
  pairs: readonly (readonly [first: number, second: number])[],
  options: BootstrapOptions = {},
): PairedTest {
  const differences = pairs.map(([first, second]) => second - first).filter((value) => !Number.isNaN(value));
  const n = differences.length;
  if (n === 0) return { n, difference: NaN, low: NaN, high: NaN, p: NaN };
  const { level = BOOTSTRAP_DEFAULTS.level } = options;
  const means: number[] = [];
  forEachResample(n, options, (drawn) => {
    let sum = 0;
    for (const index of drawn) sum += differences[index]!;
    means.push(sum / n);
  });
  const sorted = Float64Array.from(means).sort();
  return {
    n,
    difference: differences.reduce((sum, value) => sum + value, 0) / n,
    low: quantileOfSorted(sorted, (1 - level) / 2),
    high: quantileOfSorted(sorted, (1 + level) / 2),
    p: wilcoxonSignedRank(differences),
  };
}
