import { basename, dirname, join } from 'node:path';

import { chooseDicomSeries } from '../dicom/choose.js';
import { loadDicomCodec } from '../dicom/codec/decode-frame.js';
import { dicomdirFiles } from '../dicom/dicomdir.js';
import { reasonOf, type DicomReadOptions, type DicomVolume, type SkippedFile } from '../dicom/read.js';
import { MoreBytesNeeded } from '../dicom/reader.js';
import { groupDicomSeries, type DicomSeries } from '../dicom/series.js';
import { readDicomSlices, type DicomSlice } from '../dicom/slice.js';
import { DicomVolumeBuilder } from '../dicom/volume-builder.js';
import { ImagingError } from '../imaging-error.js';
import { fileOnDisk, filesInZip, type FileSource } from './file-source.js';
import { findIgnoringCase, listFiles } from './list-files.js';

/** Headers of CT slices end before this, as a rule; the pixels are not read while scanning. */
const HEADER_BYTES = 2 ** 15;
/** Files that are read side by side while scanning, and ahead of the decoder while loading. */
const SCAN_WIDTH = 8;
const READ_AHEAD = 3;

export interface DicomFolder {
  /** Axial CT series, the one with most slices first; their slices' `file` is a path. */
  readonly series: readonly DicomSeries[];
  readonly skipped: readonly SkippedFile[];
}

/** Where the pixels of scanned slices come from. */
const sources = new WeakMap<DicomSlice, FileSource>();

/** Reads the headers of every file in a folder and below it (links to folders are not followed). */
export async function scanDicomFolder(path: string): Promise<DicomFolder> {
  const skipped: SkippedFile[] = [];
  const files = await listFiles(path, skipped);
  return scanSources(files.map(fileOnDisk), skipped, new Set(files.map((file) => file.toLowerCase())));
}

/** Reads the headers of every file in a zip archive; nothing is unpacked to disk. */
export async function scanDicomZip(path: string): Promise<DicomFolder> {
  const files = await filesInZip(path);
  return scanSources(files, [], new Set(files.map(({ name }) => name.toLowerCase())));
}

/** Reads the header of one file; of a DICOMDIR those of the files that it lists. */
export async function scanDicomFile(path: string): Promise<DicomFolder> {
  if (basename(path).toUpperCase() !== 'DICOMDIR') return scanSources([fileOnDisk(path)], []);
  const { bytes } = await fileOnDisk(path).read();
  const listed = dicomdirFiles(bytes);
  if (listed === undefined) return scanSources([fileOnDisk(path)], []);
  const skipped: SkippedFile[] = [];
  const found: FileSource[] = [];
  for (const parts of listed) {
    const file = await findIgnoringCase(dirname(path), parts);
    if (file !== undefined) found.push(fileOnDisk(file));
    else skipped.push(missing(join(dirname(path), ...parts)));
  }
  return scanSources(found, skipped);
}

const missing = (file: string): SkippedFile => ({
  file,
  reason: 'Expected a file that the DICOMDIR lists, found none: the copy is incomplete.',
});

async function scanSources(
  files: readonly FileSource[],
  skipped: SkippedFile[],
  names?: ReadonlySet<string>,
): Promise<DicomFolder> {
  const slices: DicomSlice[] = [];
  for (let at = 0; at < files.length; at += SCAN_WIDTH) {
    const batch = files.slice(at, at + SCAN_WIDTH).map(async (source) => {
      try {
        return { source, slices: await scanHeader(source) };
      } catch (error) {
        return { source, reason: reasonOf(error) };
      }
    });
    for (const { source, ...found } of await Promise.all(batch)) {
      if (found.slices === undefined) skipped.push({ file: source.name, reason: found.reason });
      else
        for (const slice of found.slices) {
          slices.push(slice);
          sources.set(slice, source);
        }
      const base = source.name.split(/[/\\!]/).at(-1);
      if (names !== undefined && base?.toUpperCase() === 'DICOMDIR')
        skipped.push(...(await missingFiles(source, names)));
    }
  }
  return { series: groupDicomSeries(slices), skipped };
}

async function scanHeader(source: FileSource): Promise<DicomSlice[]> {
  for (let limit = HEADER_BYTES; ;) {
    const { bytes, size } = await source.read(limit);
    try {
      return readDicomSlices(bytes, source.name, size);
    } catch (error) {
      if (!(error instanceof MoreBytesNeeded) || bytes.length >= size) throw error;
      limit = Math.max(error.needed, limit * 4);
    }
  }
}

/** Files that a DICOMDIR lists and that are not there. */
async function missingFiles(source: FileSource, names: ReadonlySet<string>): Promise<SkippedFile[]> {
  try {
    const folder = source.name.slice(0, -'DICOMDIR'.length);
    const listed = dicomdirFiles((await source.read()).bytes) ?? [];
    const files = listed.map((parts) => `${folder}${parts.join(folder.includes('\\') ? '\\' : '/')}`);
    return files.filter((file) => !names.has(file.toLowerCase())).map(missing);
  } catch {
    // That it is damaged has been said already where it was skipped.
    return [];
  }
}

/** Reads the pixels of a scanned series. Memory: the volume and a few files. */
export async function loadDicomSeries(
  series: DicomSeries,
  options: DicomReadOptions = {},
): Promise<Pick<DicomVolume, 'volume' | 'series' | 'skipped'>> {
  const builder = new DicomVolumeBuilder(series, options);
  const slices = series.places.flat();
  const files: { readonly name: string; readonly bytes: Promise<Uint8Array> }[] = [];
  // Memory that a decoded file no longer needs serves the next one: fresh pages cost as much as reading does.
  const spare: ArrayBuffer[] = [];
  let asked = 0;
  const ask = (until: number): void => {
    for (; asked < Math.min(until, slices.length); asked++) {
      const slice = slices[asked]!;
      if (files.at(-1)?.name === slice.file) continue;
      const source = sources.get(slice) ?? fileOnDisk(slice.file);
      const bytes = source.read(undefined, spare.pop()).then((read) => read.bytes);
      // Awaited in its turn; until then a failure is no unhandled one.
      bytes.catch(() => undefined);
      files.push({ name: slice.file, bytes });
    }
  };
  for (const [index, slice] of slices.entries()) {
    ask(index + READ_AHEAD);
    while (files[0]!.name !== slice.file) {
      const done = await files.shift()!.bytes.catch(() => undefined);
      if (done !== undefined && done.buffer instanceof ArrayBuffer) spare.push(done.buffer);
    }
    await loadDicomCodec(slice.pixels.codec);
    let bytes: Uint8Array;
    try {
      bytes = await files[0]!.bytes;
    } catch (error) {
      if (error instanceof ImagingError && error.code === 'changed') throw error;
      builder.skip(reasonOf(error));
      continue;
    }
    builder.add(bytes);
  }
  return builder.finish();
}

/** The whole file that a scanned slice came from, on disk or in a zip archive. */
export async function readSliceFile(slice: DicomSlice): Promise<Uint8Array> {
  return (await (sources.get(slice) ?? fileOnDisk(slice.file)).read()).bytes;
}

/** Chooses among what a scan has found and reads it; see {@link readDicomFolder}. */
export async function loadChosenSeries(folder: DicomFolder, options: DicomReadOptions = {}): Promise<DicomVolume> {
  const choice = chooseDicomSeries(folder.series, folder.skipped, options);
  const { volume, series, skipped } = await loadDicomSeries(choice.series, options);
  return {
    volume,
    series: { ...series, problems: [...choice.problems, ...series.problems] },
    others: choice.others,
    skipped: [...folder.skipped, ...skipped],
  };
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

/** Whether bytes begin as a zip archive does. */
export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && (bytes[2] === 3 || bytes[2] === 5);
}
