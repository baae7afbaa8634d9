import { ImagingError, messageOf } from '../imaging-error.js';
import type { Volume } from '../volume.js';
import { decodeDicomSlice } from './pixels.js';
import type { DicomReadOptions, DicomVolume, SkippedFile } from './read.js';
import { describeSeries, type DicomProblem, type DicomSeries } from './series.js';
import { count } from '../count.js';
import type { DicomSlice } from './slice.js';
import { Losses } from './losses.js';
import { valueProblems } from './value-problems.js';

/** Fills a series' volume file by file, so that a reader need not hold more than one of them. */
export class DicomVolumeBuilder {
  readonly #data: Int16Array;
  readonly #size: number;
  readonly #repair: boolean;
  /** Slice that stands in each place that could be read. */
  readonly #used: DicomSlice[] = [];
  readonly #skipped: SkippedFile[] = [];
  readonly #losses = new Losses();
  #place = 0;
  #candidate = 0;
  /** Whether the current place has its voxels, so that further slices there are only compared with them. */
  #isFilled = false;
  #scratch: Int16Array | undefined;
  #clamped = 0;
  #duplicates = 0;
  #conflicts = 0;

  constructor(
    readonly series: DicomSeries,
    { maxBytes = 2 ** 31, repair = true }: DicomReadOptions = {},
  ) {
    this.#size = series.rows * series.columns;
    const bytes = series.slices.length * this.#size * 2;
    if (bytes > maxBytes) {
      throw new ImagingError('too-large', `Expected a series of at most ${maxBytes} bytes, found one of ${bytes}.`);
    }
    this.#data = new Int16Array(bytes / 2);
    this.#repair = repair;
  }

  /** The slice whose file is to be added next: every slice of every place; undefined at the end. */
  get next(): DicomSlice | undefined {
    return this.series.places[this.#place]?.[this.#candidate];
  }

  /** Takes the file of the {@link next} slice, whose codec must have been loaded; one that is damaged is noted. */
  add(bytes: Uint8Array): void {
    const slice = this.next;
    if (slice === undefined) throw new ImagingError('bad-argument', 'Expected no further slice, found one.');
    try {
      if (this.#isFilled) this.#compare(bytes, slice);
      else this.#fill(bytes, slice);
    } catch (error) {
      if (!(error instanceof ImagingError)) throw error;
      this.#note(slice, messageOf(error));
    }
    this.#advance();
  }

  /** Passes over the {@link next} slice, whose file could not be had. */
  skip(reason: string): void {
    const slice = this.next;
    if (slice === undefined) return;
    this.#note(slice, reason);
    this.#advance();
  }

  /** The volume, once every slice has been added or skipped, and the files that could not be used. */
  finish(): Pick<DicomVolume, 'volume' | 'series' | 'skipped'> {
    if (this.next !== undefined) {
      throw new ImagingError('bad-argument', `Expected every slice of the series, found ${this.#used.length} added.`);
    }
    if (this.#used.length === 0) {
      const reason = this.#skipped[0]?.reason ?? 'no slice';
      throw new ImagingError('bad-dicom', `Expected a series with pixels, found none that can be read: ${reason}`);
    }
    const isWhole = this.#used.length === this.series.slices.length;
    const data = isWhole ? this.#data : this.#data.slice(0, this.#used.length * this.#size);
    const series = isWhole ? { ...this.series, slices: this.#used } : this.#withoutSlices(describeSeries(this.#used));
    const found = valueProblems(data, this.#used, this.#size, this.#repair);
    const { slices, rows, columns, affine, positions, extents } = series;
    const problems = [...series.problems, ...this.#problems(), ...found];
    const volume: Volume<Int16Array> = {
      data,
      slices: slices.length,
      rows,
      columns,
      affine,
      ...(extents && { positions, extents }),
    };
    return { volume, series: { ...series, lossy: this.#losses.compression, problems }, skipped: this.#skipped };
  }

  #fill(bytes: Uint8Array, slice: DicomSlice): void {
    const start = this.#used.length * this.#size;
    const found = decodeDicomSlice(bytes, slice, this.#data.subarray(start, start + this.#size));
    this.#clamped += found.clamped;
    this.#losses.add(slice, found);
    this.#used.push(slice);
    this.#isFilled = true;
  }

  #compare(bytes: Uint8Array, slice: DicomSlice): void {
    this.#scratch ??= new Int16Array(this.#size);
    decodeDicomSlice(bytes, slice, this.#scratch);
    const start = (this.#used.length - 1) * this.#size;
    const scratch = this.#scratch;
    if (scratch.every((hu, index) => hu === this.#data[start + index])) this.#duplicates++;
    else this.#conflicts++;
  }

  #note(slice: DicomSlice, reason: string): void {
    const frame = slice.pixels.frames > 1 ? ` (frame ${slice.frame + 1})` : '';
    this.#skipped.push({ file: `${slice.file}${frame}`, reason });
  }

  #advance(): void {
    this.#candidate++;
    if (this.#candidate < this.series.places[this.#place]!.length) return;
    this.#place++;
    this.#candidate = 0;
    this.#isFilled = false;
  }

  /** What is left of the series, with what was known of the whole. */
  #withoutSlices(left: DicomSeries): DicomSeries {
    const missing = this.series.slices.length - this.#used.length;
    const known = new Set(left.problems.map(({ code }) => code));
    const problems: DicomProblem[] = [
      ...this.series.problems.filter(({ code }) => code.startsWith('mixed-') && !known.has(code)),
      ...left.problems,
      {
        code: 'unreadable-slices',
        message: `${count(missing, 'slice')} could not be read and ${missing === 1 ? 'is' : 'are'} missing from the volume; see the skipped files.`,
      },
    ];
    return { ...left, problems };
  }

  #problems(): DicomProblem[] {
    const problems: DicomProblem[] = [];
    if (this.#duplicates > 0) {
      problems.push({
        code: 'duplicate-slices',
        message: `${count(this.#duplicates, 'slice')} came twice, and one copy was used.`,
      });
    }
    if (this.#conflicts > 0) {
      problems.push({
        code: 'conflicting-slices',
        message: `${count(this.#conflicts, 'slice')} lay where another with other pixels was; the first acquired was used (a lossless copy before a lossy one).`,
      });
    }
    problems.push(...this.#losses.problems());
    if (this.#clamped > 0) {
      problems.push({
        code: 'clamped-values',
        message: `${this.#clamped} voxels lay outside int16 and were clamped.`,
      });
    }
    return problems;
  }
}
