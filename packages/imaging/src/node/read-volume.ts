import { open, stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';

import type { DicomReadOptions, DicomVolume } from '../dicom/read.js';
import { selectorOf } from '../dicom/choose.js';
import { ImagingError } from '../imaging-error.js';
import { loadChosenSeries } from '../dicom/scan.js';
import { kindOfStart, START_BYTES } from '../file-kind.js';
import type { NiftiHeader } from '../nifti/header.js';
import type { Volume } from '../volume.js';
import { readDicomFolder, readDicomZip, scanDicomFile, scanDicomFolder } from './dicom-folder.js';
import { isPairedName, readNiftiFile } from './nifti-file.js';

/** A volume and what it was read from. */
export type ReadVolume =
  | { readonly source: 'nifti'; readonly volume: Volume; readonly header: NiftiHeader }
  | ({ readonly source: 'dicom' } & DicomVolume);

/**
 * Reads a scan from a `.nii` or `.nii.gz` file, a `.hdr/.img` pair, a folder or zip archive with a DICOM series, a DICOMDIR,
 * or one DICOM file of a series, whose folder is then searched for the rest of it. Files are told apart by content, not by
 * name.
 */
export async function readVolume(path: string, options: DicomReadOptions = {}): Promise<ReadVolume> {
  const kind = await kindOfInput(path);
  if (kind === 'folder') return { source: 'dicom', ...(await readDicomFolder(path, options)) };
  if (kind === 'zip') return { source: 'dicom', ...(await readDicomZip(path, options)) };
  const { maxBytes } = options;
  if (kind === 'nifti') return { source: 'nifti', ...(await readNiftiFile(path, maxBytes ? { maxBytes } : {})) };
  if (kind === 'dicomdir') return { source: 'dicom', ...(await loadChosenSeries(await scanDicomFile(path), options)) };
  const { series, skipped } = await scanDicomFolder(dirname(resolve(path)));
  const own = series.find(({ places }) => places.flat().some((slice) => slice.file === resolve(path)));
  if (own === undefined) {
    const reason = skipped.find(({ file }) => file === resolve(path))?.reason ?? 'it was not found.';
    throw new ImagingError('no-axial-series', `${path} is no slice of an axial CT series: ${reason}`);
  }
  // The file's own series is what was asked for, unless another is.
  const seriesUid = options.seriesUid ?? selectorOf(own, series);
  return { source: 'dicom', ...(await loadChosenSeries({ series, skipped }, { ...options, seriesUid })) };
}

/** What a path leads to, by its content: an unknown file is taken for DICOM, which has no mark in old files. */
export async function kindOfInput(path: string): Promise<'folder' | 'zip' | 'nifti' | 'dicomdir' | 'dicom'> {
  const status = await stat(path).catch((error: unknown) => {
    throw new ImagingError(
      'bad-argument',
      `Expected a NIfTI file, a DICOM folder, file or zip archive at ${path}, found nothing there.`,
      { cause: error },
    );
  });
  if (status.isDirectory()) return 'folder';
  if (!status.isFile()) throw new ImagingError('bad-argument', `Expected a file or folder at ${path}, found neither.`);
  if (basename(path).toUpperCase() === 'DICOMDIR') return 'dicomdir';
  if (isPairedName(path)) return 'nifti';
  const file = await open(path, 'r');
  try {
    const start = new Uint8Array(START_BYTES);
    const { bytesRead } = await file.read(start, 0, start.length, 0);
    return kindOfStart(start.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}
