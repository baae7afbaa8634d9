import { open, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { chooseDicomSeries, type DicomReadOptions, type DicomVolume } from '../dicom/read.js';
import { ImagingError } from '../imaging-error.js';
import type { NiftiHeader } from '../nifti/header.js';
import { isGzip } from '../nifti/read.js';
import type { Volume } from '../volume.js';
import { loadDicomSeries, readDicomFolder, scanDicomFolder } from './dicom-folder.js';
import { isPairedName, readNiftiFile } from './nifti-file.js';

/** A volume and what it was read from. */
export type ReadVolume =
  | { readonly source: 'nifti'; readonly volume: Volume; readonly header: NiftiHeader }
  | ({ readonly source: 'dicom' } & DicomVolume);

/**
 * Reads a scan from a `.nii` or `.nii.gz` file, a `.hdr/.img` pair, a folder with a DICOM series, or one DICOM file of a series, whose folder
 * is then searched for the rest of it. Files are told apart by content, not by name.
 */
export async function readVolume(path: string, options: DicomReadOptions = {}): Promise<ReadVolume> {
  const status = await stat(path).catch((error: unknown) => {
    throw new ImagingError('bad-argument', `Expected a NIfTI file or a DICOM folder at ${path}, found nothing there.`, {
      cause: error,
    });
  });
  if (status.isDirectory()) return { source: 'dicom', ...(await readDicomFolder(path, options)) };
  const kind = isPairedName(path) ? 'nifti' : await sniff(path);
  if (kind === 'nifti') return { source: 'nifti', ...(await readNiftiFile(path, options)) };
  const { series, skipped } = await scanDicomFolder(dirname(resolve(path)));
  const own = series.find((candidate) => candidate.slices.some((slice) => slice.file === resolve(path)));
  if (own === undefined) {
    const reason =
      skipped.find(({ file }) => file === resolve(path))?.reason ?? 'it repeats another slice of its series.';
    throw new ImagingError('no-axial-series', `${path} is no slice of an axial CT series: ${reason}`);
  }
  const chosen = chooseDicomSeries([own, ...series.filter((candidate) => candidate !== own)], skipped, options);
  return { source: 'dicom', ...(await loadDicomSeries(chosen.series, options)), others: chosen.others, skipped };
}

async function sniff(path: string): Promise<'nifti' | 'other'> {
  const file = await open(path, 'r');
  try {
    const start = new Uint8Array(348);
    const { bytesRead } = await file.read(start, 0, start.length, 0);
    const size = bytesRead >= 4 ? new DataView(start.buffer) : undefined;
    const sized = [348, 540].some((known) => size?.getInt32(0, true) === known || size?.getInt32(0, false) === known);
    return isGzip(start) || sized ? 'nifti' : 'other';
  } finally {
    await file.close();
  }
}
