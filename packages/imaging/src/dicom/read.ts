import { ImagingError, messageOf, type ImagingErrorCode } from '../imaging-error.js';
import { chooseDicomSeries } from './choose.js';
import { loadDicomCodec } from './codec/decode-frame.js';
import { groupDicomSeries, type DicomSeries } from './series.js';
import { readDicomSlices, type DicomSlice } from './slice.js';
import { DicomVolumeBuilder } from './volume-builder.js';
import type { Volume } from '../volume.js';

/** A file that was not used, and why. */
export interface SkippedFile {
  readonly file: string;
  readonly reason: string;
  /** What kind of refusal it was; absent where the file was not opened. */
  readonly code?: ImagingErrorCode;
}

/** A CT series as a volume in the order inferior to superior, with what outputs need of its headers. */
export interface DicomVolume {
  readonly volume: Volume<Int16Array>;
  readonly series: DicomSeries;
  /** Other axial CT series that were found and not read. */
  readonly others: readonly DicomSeries[];
  readonly skipped: readonly SkippedFile[];
}

export interface DicomReadOptions {
  /** Series Instance UID (`UID#2` for a second stack under it) to read; where absent, the one that is most likely the non-contrast axial head series. */
  readonly seriesUid?: string | undefined;
  /** A volume of more bytes is refused before it is allocated; 2 GiB by default. */
  readonly maxBytes?: number | undefined;
  /**
   * Whether known faults of values are mended, which `series.problems` reports either way: the rescale intercept of
   * some 12-bit files (RSNA 2019) and padding that would look like tissue. On by default.
   */
  readonly repair?: boolean | undefined;
}

/** A file in memory. */
export interface NamedBytes {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/**
 * Reads the most suitable axial CT series among these files, or the one asked for. Files that are no axial CT slices are
 * listed in `skipped` with the reason; throws where none is left.
 */
export async function readDicomSeries(
  files: Iterable<NamedBytes>,
  options: DicomReadOptions = {},
): Promise<DicomVolume> {
  const slices: DicomSlice[] = [];
  const skipped: SkippedFile[] = [];
  const contents = new Map<DicomSlice, Uint8Array>();
  for (const { name, bytes } of files) {
    try {
      for (const slice of readDicomSlices(bytes, name)) {
        slices.push(slice);
        contents.set(slice, bytes);
      }
    } catch (error) {
      skipped.push(skippedFile(name, error));
    }
  }
  const choice = chooseDicomSeries(groupDicomSeries(slices), skipped, options);
  const builder = new DicomVolumeBuilder(choice.series, options);
  for (let slice = builder.next; slice !== undefined; slice = builder.next) {
    await loadDicomCodec(slice.pixels.codec);
    builder.add(contents.get(slice)!);
  }
  const { volume, series, skipped: unreadable } = builder.finish();
  return {
    volume,
    series: { ...series, problems: [...choice.problems, ...series.problems] },
    others: choice.others,
    skipped: [...skipped, ...unreadable],
  };
}

/** A file that is not used because of what was thrown when it was read. */
export function skippedFile(file: string, error: unknown): SkippedFile {
  return { file, reason: reasonOf(error), code: error instanceof ImagingError ? error.code : 'bad-dicom' };
}

/** Why a file is not used, in a sentence whatever was thrown. */
export function reasonOf(error: unknown): string {
  if (error instanceof ImagingError) return error.message;
  return `Expected a DICOM file that can be read, found damage (${messageOf(error)}).`;
}
