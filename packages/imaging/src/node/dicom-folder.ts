import { basename, dirname, join } from 'node:path';

import { dicomdirFiles } from '../dicom/dicomdir.js';
import type { DicomReadOptions, DicomVolume, SkippedFile } from '../dicom/read.js';
import {
  loadChosenSeries,
  missingFile,
  readBeginning,
  scanDicomSources,
  type DicomFolder,
  type FileSource,
} from '../dicom/scan.js';
import { parseDicom } from '../dicom/parse.js';
import { TAG } from '../dicom/tags.js';
import { fileOnDisk, filesInZip } from './file-source.js';
import { findIgnoringCase, listFiles } from './list-files.js';

export type { DicomFolder } from '../dicom/scan.js';

/** Reads the headers of every file in a folder and below it (links to folders are not followed). */
export async function scanDicomFolder(path: string): Promise<DicomFolder> {
  const skipped: SkippedFile[] = [];
  const files = await listFiles(path, skipped);
  return scanDicomSources(files.map(fileOnDisk), skipped, new Set(files.map((file) => file.toLowerCase())));
}

/** Reads the headers of every file in a zip archive; nothing is unpacked to disk. */
export async function scanDicomZip(path: string): Promise<DicomFolder> {
  const files = await filesInZip(path);
  return scanDicomSources(files, [], new Set(files.map(({ name }) => name.toLowerCase())));
}

/** Reads the header of one file; of a DICOMDIR those of the files that it lists. */
export async function scanDicomFile(path: string): Promise<DicomFolder> {
  if (basename(path).toUpperCase() !== 'DICOMDIR') return scanDicomSources([fileOnDisk(path)], []);
  const { bytes } = await fileOnDisk(path).read();
  const listed = dicomdirFiles(bytes);
  if (listed === undefined) return scanDicomSources([fileOnDisk(path)], []);
  const skipped: SkippedFile[] = [];
  const found: FileSource[] = [];
  for (const parts of listed) {
    const file = await findIgnoringCase(dirname(path), parts);
    if (file !== undefined) found.push(fileOnDisk(file));
    else skipped.push(missingFile(join(dirname(path), ...parts)));
  }
  return scanDicomSources(found, skipped);
}

/** Study Instance UID of a DICOM file of any kind; undefined where it names none, or is no DICOM that can be read. */
export async function studyUidOf(path: string): Promise<string | undefined> {
  const read = (bytes: Uint8Array, size: number): string | undefined =>
    parseDicom(bytes, size).dataset.text(TAG.studyInstanceUid);
  return readBeginning(fileOnDisk(path), read).catch(() => undefined);
}

/**
 * Reads the axial CT series that is most likely the non-contrast head (or the one asked for) in a folder and below it;
 * files that are none of its kind are listed in `skipped` with the reason.
 */
export async function readDicomFolder(path: string, options: DicomReadOptions = {}): Promise<DicomVolume> {
  return loadChosenSeries(await scanDicomFolder(path), options);
}

/** Reads a series from a zip archive, as {@link readDicomFolder} does from a folder. */
export async function readDicomZip(path: string, options: DicomReadOptions = {}): Promise<DicomVolume> {
  return loadChosenSeries(await scanDicomZip(path), options);
}
