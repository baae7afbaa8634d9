import { ImagingError, messageOf } from '../imaging-error.js';
import type { Volume } from '../volume.js';
import { groupDicomSeries, type DicomSeries } from './series.js';
import { decodeDicomSlice, readDicomSlice, type DicomSlice } from './slice.js';

/** A file that was not used, and why. */
export interface SkippedFile {
  readonly file: string;
  readonly reason: string;
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
  /** Series Instance UID to read; the axial CT series with most slices where absent. */
  readonly seriesUid?: string;
  /** A volume of more bytes is refused before it is allocated; 2 GiB by default. */
  readonly maxBytes?: number;
}

/**
 * Reads the axial CT series with most slices among these files (or the one asked for). Files that are no uncompressed
 * axial CT slices are listed in `skipped` with the reason; throws where none is left.
 */
export function readDicomSeries(
  files: Iterable<{ readonly name: string; readonly bytes: Uint8Array }>,
  options: DicomReadOptions = {},
): DicomVolume {
  const slices: DicomSlice[] = [];
  const skipped: SkippedFile[] = [];
  const contents = new Map<DicomSlice, Uint8Array>();
  for (const { name, bytes } of files) {
    try {
      const slice = readDicomSlice(bytes, name);
      slices.push(slice);
      contents.set(slice, bytes);
    } catch (error) {
      skipped.push({ file: name, reason: messageOf(error) });
    }
  }
  const { series, others } = chooseDicomSeries(groupDicomSeries(slices), skipped, options);
  const builder = new DicomVolumeBuilder(series, options);
  for (const slice of series.slices) builder.add(contents.get(slice)!);
  return { ...builder.finish(), others, skipped };
}

/** The series asked for, or the first; throws a sentence with the reasons where there is none. */
export function chooseDicomSeries(
  all: readonly DicomSeries[],
  skipped: readonly SkippedFile[],
  { seriesUid }: DicomReadOptions = {},
): { series: DicomSeries; others: DicomSeries[] } {
  const series = seriesUid === undefined ? all[0] : all.find((candidate) => candidate.uid === seriesUid);
  if (series !== undefined) return { series, others: all.filter((candidate) => candidate !== series) };
  if (all.length > 0) {
    const known = all.map((candidate) => candidate.uid).join(', ');
    throw new ImagingError(
      'no-axial-series',
      `Expected the series ${seriesUid ?? ''}, found only ${known.slice(0, 500)}.`,
    );
  }
  const tally = new Map<string, number>();
  for (const { reason } of skipped) tally.set(reason, (tally.get(reason) ?? 0) + 1);
  const reasons = [...tally].sort((a, b) => b[1] - a[1]).slice(0, 3);
  const found = reasons.map(([reason, times]) => `${times} x "${reason}"`).join(', ') || 'no files';
  throw new ImagingError('no-axial-series', `Expected an axial CT series in DICOM, found ${found}.`);
}

/** Fills a series' volume file by file, so that a reader need not hold more than one of them. */
export class DicomVolumeBuilder {
  readonly #data: Int16Array;
  #next = 0;
  #clamped = 0;

  constructor(
    readonly series: DicomSeries,
    { maxBytes = 2 ** 31 }: DicomReadOptions = {},
  ) {
    const voxels = series.slices.length * series.rows * series.columns;
    if (voxels * 2 > maxBytes) {
      throw new ImagingError(
        'too-large',
        `Expected a series of at most ${maxBytes} bytes, found one of ${voxels * 2}.`,
      );
    }
    this.#data = new Int16Array(voxels);
  }

  /** Takes the file of the next slice in the series' order. */
  add(bytes: Uint8Array): void {
    const slice = this.series.slices[this.#next];
    const size = this.series.rows * this.series.columns;
    if (slice === undefined || slice.pixels.offset + size * 2 > bytes.length) {
      throw new ImagingError(
        'bad-argument',
        `Expected the file of slice ${this.#next}, found another or a shorter one.`,
      );
    }
    this.#clamped += decodeDicomSlice(bytes, slice, this.#data.subarray(this.#next * size, (this.#next + 1) * size));
    this.#next++;
  }

  /** The volume, once every slice has been added. */
  finish(): Pick<DicomVolume, 'volume' | 'series'> {
    const { slices, rows, columns, affine, positions, extents, problems } = this.series;
    if (this.#next !== slices.length) {
      throw new ImagingError('bad-argument', `Expected ${slices.length} slices, found ${this.#next}.`);
    }
    const volume: Volume<Int16Array> = {
      data: this.#data,
      slices: slices.length,
      rows,
      columns,
      affine,
      ...(extents && { positions, extents }),
    };
    if (this.#clamped === 0) return { volume, series: this.series };
    const message = `${this.#clamped} voxels lay outside int16 and were clamped.`;
    return { volume, series: { ...this.series, problems: [...problems, { code: 'clamped-values', message }] } };
  }
}
