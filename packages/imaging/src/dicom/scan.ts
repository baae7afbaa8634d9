import { ImagingError } from '../imaging-error.js';
import { chooseDicomSeries } from './choose.js';
import { loadDicomCodec } from './codec/decode-frame.js';
import { dicomdirFiles } from './dicomdir.js';
import { reasonOf, skippedFile, type DicomReadOptions, type DicomVolume, type SkippedFile } from './read.js';
import { ReadAhead } from './read-ahead.js';
import { MoreBytesNeeded } from './reader.js';
import { groupDicomSeries, type DicomSeries } from './series.js';
import { readDicomSlices, type DicomSlice } from './slice.js';
import { DicomVolumeBuilder } from './volume-builder.js';

/** A file that is read when it is needed: on disk, in a zip archive or handed to a web page. */
export interface FileSource {
  /** Its path; of a file in an archive the archive's path, `!` and its name in there. */
  readonly name: string;
  /** The first `limit` bytes, or all of it, and the size of the whole; in `room` where they fit. */
  readonly read: (limit?: number, room?: ArrayBuffer) => Promise<{ readonly bytes: Uint8Array; readonly size: number }>;
}

/** Headers of CT slices end before this, as a rule; the pixels are not read while scanning. */
const HEADER_BYTES = 2 ** 15;
/** Files that are read side by side while scanning. */
const SCAN_WIDTH = 8;

export interface DicomFolder {
  /** Axial CT series, the one with most slices first; their slices' `file` is a path. */
  readonly series: readonly DicomSeries[];
  readonly skipped: readonly SkippedFile[];
}

/** Where the pixels of scanned slices come from: two files of an archive or a page may have one name. */
const sources = new WeakMap<DicomSlice, FileSource>();

function sourceOf(slice: DicomSlice): FileSource {
  const source = sources.get(slice);
  if (source !== undefined) return source;
  throw new ImagingError('bad-argument', `Expected a slice of a scanned study, found ${slice.file}: scan it first.`);
}

/** Says that a DICOMDIR lists a file that is not there. */
export const missingFile = (file: string): SkippedFile => ({
  file,
  reason: 'Expected a file that the DICOMDIR lists, found none: the copy is incomplete.',
});

/**
 * Reads the headers of files; those that are no axial CT slices are listed with the reason.
 *
 * @param names all names in lower case, where a DICOMDIR among the files is to be checked against them
 */
export async function scanDicomSources(
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
        return { source, skipped: skippedFile(source.name, error) };
      }
    });
    for (const { source, ...found } of await Promise.all(batch)) {
      if (found.slices === undefined) skipped.push(found.skipped);
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
  return readBeginning(source, (bytes, size) => readDicomSlices(bytes, source.name, size));
}

/** What `parse` finds in the beginning of a file, of which it gets more where it throws {@link MoreBytesNeeded}. */
export async function readBeginning<T>(source: FileSource, parse: (bytes: Uint8Array, size: number) => T): Promise<T> {
  for (let limit = HEADER_BYTES; ;) {
    const { bytes, size } = await source.read(limit);
    try {
      return parse(bytes, size);
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
    return files.filter((file) => !names.has(file.toLowerCase())).map(missingFile);
  } catch {
    // That it is damaged has been said already where it was skipped.
    return [];
  }
}

/** Reads the pixels of a scanned series. Memory: the volume and a few files. */
export async function loadScannedSeries(
  series: DicomSeries,
  options: DicomReadOptions = {},
): Promise<Pick<DicomVolume, 'volume' | 'series' | 'skipped'>> {
  const builder = new DicomVolumeBuilder(series, options);
  const files = new ReadAhead(series.places.flat().map(sourceOf));
  for (let slice = builder.next; slice !== undefined; slice = builder.next) {
    await loadDicomCodec(slice.pixels.codec);
    let bytes: Uint8Array;
    try {
      bytes = await files.next();
    } catch (error) {
      if (error instanceof ImagingError && error.code === 'changed') throw error;
      builder.skip(reasonOf(error));
      continue;
    }
    builder.add(bytes);
  }
  return builder.finish();
}

/** The whole file that a scanned slice came from. */
export async function readScannedFile(slice: DicomSlice): Promise<Uint8Array> {
  return (await sourceOf(slice).read()).bytes;
}

/** Chooses among what a scan has found and reads it; throws where there is no axial CT series. */
export async function loadChosenSeries(folder: DicomFolder, options: DicomReadOptions = {}): Promise<DicomVolume> {
  const choice = chooseDicomSeries(folder.series, folder.skipped, options);
  const { volume, series, skipped } = await loadScannedSeries(choice.series, options);
  return {
    volume,
    series: { ...series, problems: [...choice.problems, ...series.problems] },
    others: choice.others,
    skipped: [...folder.skipped, ...skipped],
  };
}
