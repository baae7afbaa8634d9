import type { Volume } from '@aaunet/imaging';
import { LABELS } from '@aaunet/imaging';

/** What one case contributes to the statistics. */
export interface CaseStatistics {
  readonly name: string;
  readonly patient: string;
  readonly slices: number;
  readonly emptySlices: number;
  /** By label name: labelled pixels of every slice, inferior to superior, zeros included. */
  readonly pixels: Readonly<Record<string, readonly number[]>>;
}

export interface TypeStatistics {
  readonly name: string;
  readonly patients: number;
  readonly slices: number;
  /** Labelled pixels a slice, over the slices that show the type; 0 where none does. */
  readonly pixels: { readonly min: number; readonly median: number; readonly max: number };
}

export interface PhantomStatistics {
  readonly synthetic: true;
  readonly cases: number;
  readonly patients: number;
  readonly slices: { readonly total: number; readonly min: number; readonly median: number; readonly max: number };
  readonly emptyPercent: number;
  /** Slices with two or more types. */
  readonly mixedPercent: number;
  readonly types: readonly TypeStatistics[];
}

/** Counts slices and labelled pixels of one label map [slices, rows, columns]. */
export function caseStatistics(name: string, patient: string, labels: Volume<Uint8Array>): CaseStatistics {
  const plane = labels.rows * labels.columns;
  const pixels: Record<string, number[]> = {};
  let emptySlices = 0;
  for (let k = 0; k < labels.slices; k++) {
    const count = new Uint32Array(256);
    for (let p = k * plane; p < (k + 1) * plane; p++) count[labels.data[p]!]!++;
    if (count[0] === plane) emptySlices++;
    for (const { id, name: type } of LABELS) {
      (pixels[type] ??= []).push(count[id]!);
    }
  }
  return { name, patient, slices: labels.slices, emptySlices, pixels };
}

/** Statistics of a data set: slices a case, slices without a lesion, and for each type patients, slices and pixels. */
export function phantomStatistics(cases: readonly CaseStatistics[]): PhantomStatistics {
  const total = cases.reduce((sum, c) => sum + c.slices, 0);
  const empty = cases.reduce((sum, c) => sum + c.emptySlices, 0);
  let mixed = 0;
  for (const c of cases) {
    for (let k = 0; k < c.slices; k++) {
      if (LABELS.filter(({ name }) => (c.pixels[name]?.[k] ?? 0) > 0).length > 1) mixed++;
    }
  }
  return {
    synthetic: true,
    cases: cases.length,
    patients: new Set(cases.map((c) => c.patient)).size,
    slices: { total, ...spread(cases.map((c) => c.slices)) },
    emptyPercent: total === 0 ? 0 : (100 * empty) / total,
    mixedPercent: total === 0 ? 0 : (100 * mixed) / total,
    types: LABELS.map(({ name }) => {
      const shown = cases.map((c) => ({ patient: c.patient, pixels: (c.pixels[name] ?? []).filter((n) => n > 0) }));
      const all = shown.flatMap((c) => c.pixels);
      const patients = new Set(shown.filter((c) => c.pixels.length > 0).map((c) => c.patient));
      return { name, patients: patients.size, slices: all.length, pixels: spread(all) };
    }),
  };
}

function spread(values: readonly number[]): { min: number; median: number; max: number } {
  const sorted = [...values].sort((a, b) => a - b);
  return { min: sorted[0] ?? 0, median: sorted[Math.floor(sorted.length / 2)] ?? 0, max: sorted.at(-1) ?? 0 };
}

/** The statistics as a table in plain text. */
export function formatStatistics(statistics: PhantomStatistics): string {
  const { slices } = statistics;
  const head = [
    `SYNTHETIC phantoms: ${statistics.cases} cases of ${statistics.patients} patients, ${slices.total} slices`,
    `slices a case   ${slices.min} to ${slices.max}, median ${slices.median}`,
    `no lesion       ${statistics.emptyPercent.toFixed(2)} % of slices (paper: 46.55 %)`,
    `several types   ${statistics.mixedPercent.toFixed(2)} % of slices`,
    '',
    'type           patients  slices   pixels a slice (min, median, max)',
  ];
  const rows = statistics.types.map(
    ({ name, patients, slices: n, pixels }) =>
      `${name.padEnd(14)}${String(patients).padStart(9)}${String(n).padStart(8)}   ` +
      [pixels.min, pixels.median, pixels.max].map((v) => String(v).padStart(7)).join(''),
  );
  return [...head, ...rows].join('\n');
}
