import { count } from '@aaunet/imaging';
import { inspect as inspectScan, type InspectedSeries, type Inspection } from '@aaunet/imaging/node';

import { writeFileAtomic } from '../atomic.js';
import { renderScanSheet } from './scan-sheet.js';

export interface InspectScanOptions {
  /** Series Instance UID to choose; where absent, the most suitable series is. */
  readonly seriesUid?: string | undefined;
  /** File that gets a contact sheet of the chosen series. */
  readonly png?: string | undefined;
}

/**
 * Says what is in a file, folder or zip archive (see `inspect` of `@aaunet/imaging/node`) and draws the chosen series.
 *
 * @throws Error where there is nothing to read, and where a picture is asked for and no series can be shown
 */
export async function inspect(path: string, { seriesUid, png }: InspectScanOptions = {}): Promise<Inspection> {
  let sheet: Uint8Array | undefined;
  const inspection = await inspectScan(path, {
    seriesUid,
    ...(png !== undefined && {
      onChosen: (volume, series) => {
        const { min, max } = series.hu;
        sheet = renderScanSheet(volume, {
          title: series.description || 'scan',
          notices: [`Values from ${min} to ${max}.`, ...series.problems.map(({ message }) => message)],
        });
      },
    }),
  });
  if (png !== undefined) {
    if (sheet === undefined) {
      throw new Error(`Expected a series to draw in ${path}, found none that can be shown: choose one with --series.`);
    }
    await writeFileAtomic(png, sheet);
  }
  return inspection;
}

/** Most lines that list skipped files by themselves; below, they are counted by reason. */
const FEW_SKIPPED = 5;

/** An inspection for people, as plain text. */
export function formatInspection({ series, skipped }: Inspection): string {
  const parts = series.map(formatSeries);
  if (series.length === 0) parts.push('No axial CT series that can be read.');
  if (skipped.length > 0) {
    parts.push([`${count(skipped.length, 'file')} not used:`, ...skippedLines(skipped)].join('\n'));
  }
  return parts.join('\n\n');
}

function skippedLines(skipped: Inspection['skipped']): string[] {
  if (skipped.length <= FEW_SKIPPED) return skipped.map(({ file, reason }) => `  ${file}: ${reason}`);
  const byReason = new Map<string, string[]>();
  for (const { file, reason } of skipped) byReason.set(reason, [...(byReason.get(reason) ?? []), file]);
  return [...byReason].map(
    ([reason, files]) => `  ${files.length} x (${files[0]!}${files.length > 1 ? ', …' : ''}): ${reason}`,
  );
}

function formatSeries(series: InspectedSeries): string {
  const { slices, rows, columns, rowSpacing, columnSpacing, stepMm, hu, positions } = series;
  const name = series.description || '(no description)';
  const step =
    stepMm.max - stepMm.min < 0.05
      ? `${stepMm.median.toFixed(2)} mm`
      : `${stepMm.min.toFixed(2)} to ${stepMm.max.toFixed(2)} mm (median ${stepMm.median.toFixed(2)})`;
  const [low, high] = [positions[0]![2], positions.at(-1)![2]];
  const lines = [
    `${series.chosen ? '* ' : '  '}${name}${series.uid === '' ? '' : `  ${series.uid}`}`,
    `    ${count(slices, 'slice')} of ${rows} x ${columns} pixels, ${rowSpacing.toFixed(3)} x ${columnSpacing.toFixed(3)} mm`,
    `    step ${step}, z from ${low.toFixed(1)} to ${high.toFixed(1)} mm, tilt ${series.tiltDegrees.toFixed(1)} degrees`,
    `    HU ${hu.min} to ${hu.max}, mean ${hu.mean.toFixed(1)}`,
    `    sha256 ${series.sha256}`,
    ...series.problems.map(({ code, message }) => `    ! ${code}: ${message}`),
  ];
  return lines.join('\n');
}
