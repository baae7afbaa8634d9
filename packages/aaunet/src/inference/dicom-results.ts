import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  ImagingError,
  LABELS,
  readResultSource,
  writeDicomSegmentation,
  writeFractionalSegmentation,
  writeStructuredReport,
  type DicomSeries,
  type ResultMaker,
  type ResultSource,
  type Volume,
} from '@aaunet/imaging';
import { readSliceFile } from '@aaunet/imaging/node';

import type { Problem, SegmentationReport } from './report.js';

/** The DICOM source that results of a scan refer to; where there is none, why. */
export interface DicomOrigin {
  readonly source?: ResultSource;
  readonly problems: readonly Problem[];
}

/** Reads what DICOM results take over from a series. */
export async function dicomOrigin(series: DicomSeries): Promise<DicomOrigin> {
  const none = (reason: string): DicomOrigin => ({
    problems: [{ code: 'no-dicom-results', message: `No DICOM objects are written: ${reason}` }],
  });
  // Not the error's own words: they name the file, and its path may tell who was scanned.
  const bytes = await readSliceFile(series.slices[0]!).catch(() => undefined);
  if (bytes === undefined) return none('the source could not be read a second time.');
  try {
    return { source: readResultSource(series, bytes), problems: [] };
  } catch (error) {
    if (error instanceof ImagingError) return none(error.message);
    throw error;
  }
}

/** The date and time of a report are its making; everything else comes from it. */
function makerOf(report: SegmentationReport): ResultMaker {
  return {
    algorithm: report.model.name,
    software: report.software,
    weights: report.model.sha256 ?? 'unknown',
    notice: report.notice,
  };
}

/**
 * Writes segmentation.dcm (DICOM Segmentation), report.dcm (TID 1500, mL of the assessed types) and, where probabilities are
 * given, probabilities.dcm (fractional Segmentation) into a folder.
 */
export async function writeDicomResults(
  folder: string,
  source: ResultSource,
  labelMap: Volume<Uint8Array>,
  report: SegmentationReport,
  probabilities?: readonly Volume<Uint8Array>[],
): Promise<void> {
  const maker = makerOf(report);
  const segmentation = writeDicomSegmentation(labelMap, source, maker);
  await writeFile(join(folder, 'segmentation.dcm'), segmentation.bytes);
  const volumes = report.types.flatMap(({ name, volumeMl }) => (volumeMl === null ? [] : [{ name, volumeMl }]));
  await writeFile(join(folder, 'report.dcm'), writeStructuredReport(volumes, source, segmentation, maker).bytes);
  if (probabilities?.length === LABELS.length) {
    await writeFile(join(folder, 'probabilities.dcm'), writeFractionalSegmentation(probabilities, source, maker).bytes);
  }
}
