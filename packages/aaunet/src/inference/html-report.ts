import { count, formatMl, LABELS } from '@aaunet/imaging';

import { escapeHtml, htmlPage, htmlPicture, htmlTable } from './html.js';
import { bloodTitle, sliceRanges, type SegmentationReport, type TypeFinding } from './report.js';

/** Keeps a range of slices on one line where a table is narrow. */
const NON_BREAKING_HYPHEN = '\u2011';

function findingRow(finding: TypeFinding): string[] {
  const { name, title, volumeMl, slices, lesions, largestLesion } = finding;
  const [r, g, b] = LABELS.find((label) => label.id === finding.id)!.color;
  const swatch = `<span class="swatch" style="background:rgb(${r},${g},${b})"></span>`;
  const label = `${swatch}${name} <span class="quiet">${escapeHtml(title)}</span>`;
  if (volumeMl === null) return [label, 'not assessed', '', '', '', ''];
  if (lesions === 0 || !largestLesion) return [label, 'none found', '', '', '', ''];
  return [
    label,
    formatMl(volumeMl),
    String(lesions),
    `${largestLesion.diameterMm.toFixed(0)} (slice ${largestLesion.diameterSlice})`,
    formatMl(largestLesion.abcOver2Ml),
    sliceRanges(slices).replaceAll('-', NON_BREAKING_HYPHEN),
  ];
}

/** The slices on which the found types are largest, each with the types that it shows so, in the order of the slices. */
export function tellingSlices({ types }: SegmentationReport): { slice: number; names: string[] }[] {
  const found = new Map<number, string[]>();
  for (const { name, assessed, largest } of types) {
    if (!assessed || !largest) continue;
    found.set(largest.slice, [...(found.get(largest.slice) ?? []), name]);
  }
  return [...found].sort(([a], [b]) => a - b).map(([slice, names]) => ({ slice, names }));
}

/** Pictures of a report as PNG: all slices, and by number (from 1) single ones beside their outlines. */
export interface ReportPictures {
  readonly montage: Uint8Array;
  readonly pair: (slice: number) => Uint8Array;
}

/** The one-page report of a scan, complete in itself: warnings, measures of every type, pictures. */
export function renderHtmlReport(report: SegmentationReport, { montage, pair }: ReportPictures): string {
  const { geometry, problems, notice, name, model, software, bloodMl } = report;
  const steps = geometry.stepMm;
  const spacing = `${geometry.spacingMm[0].toFixed(2)} x ${geometry.spacingMm[1].toFixed(2)} mm`;
  const distance =
    steps === null
      ? 'one slice'
      : geometry.unevenSteps
        ? `slices ${steps.min.toFixed(2)} to ${steps.max.toFixed(2)} mm apart`
        : `slices ${steps.median.toFixed(2)} mm apart`;
  const warnings = [notice, ...problems.map(({ message }) => message)];
  const pairs = tellingSlices(report).map(
    ({ slice, names }) =>
      `<figure><figcaption>Slice ${slice}: the largest area of ${names.join(', ')}</figcaption>${htmlPicture(pair(slice), `Slice ${slice} without and with outlines`)}</figure>`,
  );
  const tilt = geometry.tiltDegrees > 0.1 ? `, gantry tilt ${geometry.tiltDegrees.toFixed(1)}°` : '';
  return htmlPage(
    `Hemorrhage report ${name}`,
    `<h1>${escapeHtml(name)}</h1>
<p class="quiet">Automatic outlines of intracranial hemorrhage by ${escapeHtml(model.name)} (${escapeHtml(software)}), not looked at by any person.</p>
${warnings.map((text) => `<p class="notice">${escapeHtml(text)}</p>`).join('\n')}
<h2>Findings: ${formatMl(bloodMl)} mL of ${bloodTitle([report])}</h2>
${htmlTable(
  ['type', 'volume, mL', 'lesions', 'largest diameter, mm', 'ABC/2 of the largest, mL', 'slices'],
  report.types.map(findingRow),
)}
<p class="quiet">Volumes are the sum of all marked voxels by the slices' true extents. ABC/2 is the bedside estimate for one
compact lesion and says little of crescents and of blood in sulci. Slices are numbered from 1 as they lie in the volume.</p>
${pairs.length === 0 ? '' : `<h2>Where each type is largest</h2>\n<div class="pairs">${pairs.join('\n')}</div>`}
<h2>Slices</h2>
<figure>${htmlPicture(montage, 'All slices with the outlined lesions')}</figure>
<h2>Scan and network</h2>
<p>${count(geometry.slices, 'slice')} of ${geometry.columns} x ${geometry.rows} pixels, ${spacing}, ${distance}${tilt}; source ${report.source === 'dicom' ? 'DICOM' : 'NIfTI'}.</p>
<p class="quiet">Weights SHA-256 ${escapeHtml(model.sha256 ?? 'unknown')}.</p>`,
  );
}
