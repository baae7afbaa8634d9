import { writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { LABELS, type Volume } from '@aaunet/imaging';
import { writeNiftiFile } from '@aaunet/imaging/node';
import { replaceFolder } from '../atomic.js';
import { renderHtmlReport } from './html-report.js';
import { renderMontage, renderPair, resultGeometry } from './montage.js';
import { type ReportContext, type SegmentationReport, formatVolumesCsv, makeReport } from './report.js';

/** The files of one result, each explained in a few words. */
export const OUTPUT_FILES = {
  'segmentation.nii.gz': 'label map in the geometry of the input',
  'report.json': 'volumes, geometry, problems, model',
  'volumes.csv': 'volume of each type in mL',
  'montage.png': 'all slices with contours',
  'report.html': 'findings, warnings and all slices on one page',
} as const;

/** Files that a result has where its source is DICOM, or probabilities were asked for. */
export const FURTHER_FILES = [
  'segmentation.dcm',
  'report.dcm',
  'probabilities.dcm',
  ...LABELS.map(({ name }) => `probability-${name}.nii.gz`),
];

/**
 * A folder name for an input path: its last part without file ending, only characters that every system and every CSV
 * reader takes as they are; made unique among `taken` (in any case) by a number.
 */
export function outputName(input: string, taken: ReadonlySet<string> = new Set()): string {
  const stem = basename(resolve(input))
    .replace(/\.(nii\.gz|nii|zip|dcm)$/i, '')
    .normalize('NFKD');
  const name =
    stem
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+|[-.]+$/g, '')
      .slice(0, 100) || 'scan';
  const isTaken = (candidate: string): boolean =>
    [...taken].some((other) => other.toLowerCase() === candidate.toLowerCase());
  let unique = name;
  for (let count = 2; isTaken(unique); count++) unique = `${name}-${count}`;
  return unique;
}

/**
 * Writes OUT/name/{segmentation.nii.gz, report.json, volumes.csv, montage.png, report.html} and what `further` adds, all of
 * them or none.
 *
 * @param scan HU in the source geometry.
 * @param labelMap labels 0 to 7 in the same geometry.
 * @param stored what segmentation.nii.gz gets, where the source is no stack of axial slices and `scan` was turned.
 * @param further writes more of `FURTHER_FILES` into the folder.
 * @throws Error if the geometries differ, or the folder holds files that are not such outputs.
 */
export async function writeOutputs(
  out: string,
  scan: Volume,
  labelMap: Volume<Uint8Array>,
  context: ReportContext,
  stored: Volume<Uint8Array> = labelMap,
  further?: (folder: string, report: SegmentationReport) => Promise<void>,
): Promise<{ folder: string; report: SegmentationReport }> {
  const report = makeReport(scan, labelMap, context);
  const folder = join(out, context.name);
  await replaceFolder(folder, [...Object.keys(OUTPUT_FILES), ...FURTHER_FILES], async (temporary) => {
    const description = `${context.software} ${context.model.name}, research use only`;
    await writeNiftiFile(join(temporary, 'segmentation.nii.gz'), stored, { description });
    await writeFile(join(temporary, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
    await writeFile(join(temporary, 'volumes.csv'), formatVolumesCsv(report));
    const geometry = resultGeometry(scan, labelMap);
    const montage = renderMontage(scan, labelMap, report, geometry);
    const pictures = { montage, pair: (slice: number) => renderPair(scan, labelMap, slice - 1, geometry) };
    await writeFile(join(temporary, 'montage.png'), montage);
    await writeFile(join(temporary, 'report.html'), renderHtmlReport(report, pictures));
    await further?.(temporary, report);
  });
  return { folder, report };
}
