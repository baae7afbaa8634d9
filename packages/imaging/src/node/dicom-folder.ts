import type { Dirent } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { groupDicomSeries, type DicomSeries } from '../dicom/series.js';
import { readDicomSlice, type DicomSlice } from '../dicom/slice.js';
import {
  chooseDicomSeries,
  DicomVolumeBuilder,
  type DicomReadOptions,
  type DicomVolume,
  type SkippedFile,
} from '../dicom/read.js';
import { ImagingError, messageOf } from '../imaging-error.js';

/** A CT slice is half a megabyte; a larger file than this is not opened. */
const MAX_FILE_BYTES = 2 ** 28;
const MAX_FILES = 200_000;
const MAX_DEPTH = 32;

export interface DicomFolder {
  /** Axial CT series, the one with most slices first; their slices' `file` is a path. */
  readonly series: readonly DicomSeries[];
  readonly skipped: readonly SkippedFile[];
}

/** Reads the headers of every file in a folder and below it (links to folders are not followed), one file at a time. */
export async function scanDicomFolder(path: string): Promise<DicomFolder> {
  const slices: DicomSlice[] = [];
  const skipped: SkippedFile[] = [];
  for (const file of await listFiles(path, skipped)) {
    try {
      slices.push(readDicomSlice(await readBounded(file), file));
    } catch (error) {
      skipped.push({ file, reason: messageOf(error) });
    }
  }
  return { series: groupDicomSeries(slices), skipped };
}

/** Reads the pixels of a scanned series. Memory: the volume and one file. */
export async function loadDicomSeries(
  series: DicomSeries,
  options: DicomReadOptions = {},
): Promise<Pick<DicomVolume, 'volume' | 'series'>> {
  const builder = new DicomVolumeBuilder(series, options);
  for (const slice of series.slices) {
    const bytes = await readBounded(slice.file);
    if (readDicomSlice(bytes, slice.file).pixels.crc !== slice.pixels.crc) {
      throw new ImagingError(
        'bad-dicom',
        `Expected ${slice.file} as it was a moment ago, found it changed: read again.`,
      );
    }
    builder.add(bytes);
  }
  return builder.finish();
}

/**
 * Reads the axial CT series with most slices (or the one asked for) in a folder and below it; files that are none of its
 * kind are listed in `skipped` with the reason.
 */
export async function readDicomFolder(path: string, options: DicomReadOptions = {}): Promise<DicomVolume> {
  const folder = await scanDicomFolder(path);
  const { series, others } = chooseDicomSeries(folder.series, folder.skipped, options);
  return { ...(await loadDicomSeries(series, options)), others, skipped: folder.skipped };
}

async function listFiles(root: string, skipped: SkippedFile[]): Promise<string[]> {
  const files: string[] = [];
  const visit = async (folder: string, depth: number): Promise<void> => {
    for (const entry of await entriesOf(folder, depth === 0 ? undefined : skipped)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && depth < MAX_DEPTH) await visit(path, depth + 1);
      else if (entry.isFile() || (entry.isSymbolicLink() && (await isFile(path)))) files.push(path);
      if (files.length > MAX_FILES) {
        throw new ImagingError(
          'too-large',
          `Expected at most ${MAX_FILES} files in ${root}, found more: name a smaller folder.`,
        );
      }
    }
  };
  await visit(root, 0);
  return files;
}

/** What a folder holds, by name; one that cannot be read is noted in `skipped`, or refused where that is absent. */
async function entriesOf(folder: string, skipped: SkippedFile[] | undefined): Promise<Dirent[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    const reason = `Expected a folder that can be read, found none (${messageOf(error)}).`;
    if (skipped === undefined) throw new ImagingError('bad-argument', `${folder}: ${reason}`, { cause: error });
    skipped.push({ file: folder, reason });
    return [];
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

async function readBounded(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size > MAX_FILE_BYTES) {
      throw new ImagingError(
        'too-large',
        `Expected a CT slice of at most ${MAX_FILE_BYTES} bytes, found a file of ${size}.`,
      );
    }
    return await file.readFile();
  } finally {
    await file.close();
  }
}
