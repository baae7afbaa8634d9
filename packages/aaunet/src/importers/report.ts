import { count, medianOf } from '@aaunet/imaging';
import { z } from 'zod';

import { lineageSchema } from '../datasets/dataset.js';
import type { Note, SkippedCase } from './importer.js';

/** What was found of a case that was imported. */
export const caseReportSchema = z.strictObject({
  name: z.string(),
  patient: z.string(),
  lineage: lineageSchema.optional(),
  /** What it was read from, relative to the source. */
  files: z.array(z.string()),
  /** Columns, rows, slices. */
  size: z.array(z.int()).length(3),
  /** Millimetres between columns, rows and slices. */
  spacing: z.array(z.number()).length(3),
  tiltDegrees: z.number().optional(),
  /** Of unevenly spaced slices, which the image file cannot hold: as `slicePositions` and `sliceExtents` of dataset.json. */
  slicePositions: z.array(z.tuple([z.number(), z.number(), z.number()])).optional(),
  sliceExtents: z.array(z.number()).optional(),
  hu: z.strictObject({ min: z.number(), max: z.number() }),
  /** Voxels of each label, 0 to 8. */
  voxels: z.array(z.int()),
  /** Of the HU as little-endian int16 in the order of the image file. */
  sha256: z.string(),
  notes: z.array(z.strictObject({ level: z.enum(['found', 'fixed', 'warning']), message: z.string() })),
});

export type CaseReport = z.output<typeof caseReportSchema>;

/** import-report.json: what was found, fixed and skipped. */
export interface ImportReport {
  readonly software: string;
  readonly kind: string;
  readonly source: string;
  readonly name: string;
  readonly annotated: readonly string[];
  readonly untyped: readonly string[];
  /** Whether HU were computed from pictures of a display window. */
  readonly approximateHu: boolean;
  readonly patients: number;
  /** Cases that hold each type, and voxels of unknown type. */
  readonly casesWith: Readonly<Record<string, number>>;
  /** Of the data set as a whole. */
  readonly notes: readonly Note[];
  readonly cases: readonly CaseReport[];
  readonly skipped: readonly SkippedCase[];
}

/** Equal messages are told once, with so many cases by name. */
const NAMED_CASES = 6;

/** The report for people. */
export function formatImportReport(report: ImportReport): string {
  const { cases, skipped, casesWith, annotated, untyped } = report;
  const lines = [
    `${report.name} (${report.kind}): ${count(cases.length, 'case')} of ${count(report.patients, 'patient')} imported, ${skipped.length} skipped`,
    `marked by name: ${annotated.join(', ') || 'none'}`,
  ];
  if (untyped.length > 0) lines.push(`marked without a name (label 8): any of ${untyped.join(', ')}`);
  if (report.approximateHu) lines.push('warning: HU are approximate, computed from pictures of a display window');
  lines.push(
    `cases with: ${
      Object.entries(casesWith)
        .filter(([, n]) => n > 0)
        .map(([type, n]) => `${type} ${n}`)
        .join(', ') || 'no lesion'
    }`,
  );
  if (cases.length > 0) {
    const steps = cases.map(({ spacing }) => spacing[2]!).sort((a, b) => a - b);
    lines.push(`mm between slices: ${steps[0]} to ${steps.at(-1)}, median ${Number(medianOf(steps).toFixed(4))}`);
  }
  for (const { level, message } of report.notes) lines.push(`${level}: ${message}`);
  const notes = cases.flatMap(({ name, notes: own }) =>
    own.map(({ level, message }) => ({ name, text: `${level}: ${message}` })),
  );
  lines.push(...grouped(notes));
  lines.push(...grouped(skipped.map(({ name, reason }) => ({ name, text: `skipped: ${reason}` }))));
  return `${lines.join('\n')}\n`;
}

/** Lines of equal text once, with the names they speak of; figures in a text do not make it another one. */
function grouped(items: readonly { name: string; text: string }[]): string[] {
  const groups = new Map<string, { text: string; names: string[] }>();
  for (const { name, text } of items) {
    const key = text.replaceAll(/[\d.]+/g, '#');
    const group = groups.get(key) ?? { text, names: [] };
    group.names.push(name);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ text, names }) => {
    const shown = names.slice(0, NAMED_CASES).join(', ');
    const more = names.length > NAMED_CASES ? ` and ${names.length - NAMED_CASES} more` : '';
    const like = names.length > 1 ? ', the figures being those of the first' : '';
    return `${text} (${shown}${more}${/\d/.test(text) ? like : ''})`;
  });
}
