import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  LABELS,
  readSourceHeader,
  writeDicomSegmentation,
  writeFractionalSegmentation,
  writeStructuredReport,
  type DicomSeries,
  type ResultMaker,
  type ResultSource,
  type Volume,
} from '@aaunet/imaging';
import { readSliceFile } from '@aaunet/imaging/node';

import type { SegmentationReport } from './report.js';

/** The DICOM source of a scan, from which results take patient, study and geometry. */
export interface DicomOrigin {
  readonly source: ResultSource;
}

/** Reads what DICOM results take over from a series; undefined where its files cannot be read one by one. */
export async function dicomOrigin(series: DicomSeries): Promise<DicomOrigin | undefined> {
  const bytes = await readSliceFile(series.slices[0]!).catch(() => undefined);
  if (bytes === undefined) return undefined;
  const header = readSourceHeader(bytes);
  return { source: { series, header } };
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
  { source }: DicomOrigin,
  labelMap: Volume<Uint8Array>,
  report: SegmentationReport,
  probabilities?: readonly Volume<Uint8Array>[],
): Promise<void> {
  const maker = makerOf(report);
  const segmentation = writeDicomSegmentation(labelMap, source, maker);
  await writeFile(join(folder, 'segmentation.dcm'), segmentation.bytes);
  const volumes = report.types.filter(({ assessed }) => assessed);
  await writeFile(join(folder, 'report.dcm'), writeStructuredReport(volumes, source, segmentation, maker).bytes);
  if (probabilities?.length === LABELS.length) {
    await writeFile(join(folder, 'probabilities.dcm'), writeFractionalSegmentation(probabilities, source, maker).bytes);
  }
}
