import { createHash } from 'node:crypto';

import { affineColumn, flipLpsRas, norm, normalize, scale, tiltDegrees } from '../affine.js';
import { chooseDicomSeries, whyNotChosen } from '../dicom/choose.js';
import { reasonOf, type SkippedFile } from '../dicom/read.js';
import { loadScannedSeries } from '../dicom/scan.js';
import type { DicomProblem, DicomSeries } from '../dicom/series.js';
import { ImagingError, type ImagingErrorCode } from '../imaging-error.js';
import { toHuVolume } from '../convert.js';
import type { Volume } from '../volume.js';
import { scanDicomFile, scanDicomFolder, scanDicomZip, type DicomFolder } from './dicom-folder.js';
import { readNiftiFile } from './nifti-file.js';
import { kindOfInput } from './read-volume.js';

/** What is known of a series: geometry in DICOM's coordinates (LPS+, mm), slices from inferior to superior. */
export interface InspectedSeries {
  readonly uid: string;
  readonly description: string;
  readonly modality: string;
  readonly chosen: boolean;
  readonly slices: number;
  readonly rows: number;
  readonly columns: number;
  readonly rowSpacing: number;
  readonly columnSpacing: number;
  /** Direction in which the column index grows, then that in which the row index grows. */
  readonly orientation: readonly number[];
  readonly positions: readonly (readonly [number, number, number])[];
  readonly tiltDegrees: number;
  readonly stepMm: { readonly min: number; readonly median: number; readonly max: number };
  readonly hu: { readonly min: number; readonly max: number; readonly mean: number };
  /** Of the HU as little-endian int16, row-major, inferior to superior, duplicates once, nothing resampled or repaired. */
  readonly sha256: string;
  readonly problems: readonly { readonly code: string; readonly message: string }[];
}

export interface Inspection {
  readonly series: readonly InspectedSeries[];
  readonly skipped: readonly SkippedFile[];
}

export interface InspectOptions {
  /** Series Instance UID (`UID#2` for a second stack under it) to choose; where absent, the most suitable series is. */
  readonly seriesUid?: string | undefined;
  /** Gets the volume of the chosen series, for a picture, say. */
  readonly onChosen?: ((volume: Volume<Int16Array>, series: InspectedSeries) => void) | undefined;
}

/**
 * Says what is in a NIfTI file, a DICOM file, folder, zip archive or DICOMDIR: every axial CT series with its geometry, HU,
 * checksum and problems, and why each other file was not used. One series is in memory at a time.
 *
 * @throws ImagingError where there is nothing at the path, where a file is neither NIfTI nor DICOM or is damaged, and
 * where the series asked for is not there
 */
export async function inspect(path: string, options: InspectOptions = {}): Promise<Inspection> {
  const kind = await kindOfInput(path);
  if (kind === 'nifti') return inspectNifti(path, options);
  const folder =
    kind === 'folder'
      ? await scanDicomFolder(path)
      : kind === 'zip'
        ? await scanDicomZip(path)
        : await scanDicomFile(path);
  if (kind === 'dicom') refuseDamaged(folder, path);
  return inspectDicom(folder, options);
}

const DAMAGED: readonly ImagingErrorCode[] = ['truncated', 'not-dicom', 'bad-dicom'];

/** A single file that is damaged or no DICOM is an error; one that is a scout, say, is a finding. */
function refuseDamaged({ series, skipped }: DicomFolder, path: string): void {
  const first = skipped[0];
  if (series.length > 0 || first?.code === undefined) return;
  if (DAMAGED.includes(first.code)) throw new ImagingError(first.code, `${path}: ${first.reason}`);
}

async function inspectDicom(folder: DicomFolder, { seriesUid, onChosen }: InspectOptions): Promise<Inspection> {
  const skipped = [...folder.skipped];
  const choice = choose(folder, seriesUid);
  const series: InspectedSeries[] = [];
  const ordered = choice ? [choice.series, ...choice.others] : folder.series;
  for (const candidate of ordered) {
    const chosen = candidate === choice?.series;
    const context = chosen ? choice.problems : [whyNotChosen(candidate, folder.series, choice?.series)];
    try {
      const loaded = await loadScannedSeries(candidate, { repair: false });
      skipped.push(...loaded.skipped);
      const { volume } = loaded;
      const inspected = describeDicom(loaded.series, volume, chosen, context);
      series.push(inspected);
      if (chosen) onChosen?.(volume, inspected);
    } catch (error) {
      const reason = reasonOf(error);
      for (const { file } of candidate.slices) skipped.push({ file, reason });
    }
  }
  return { series, skipped };
}

/** The choice, or none where there are only reformats, which is a finding here and no error. */
function choose(folder: DicomFolder, seriesUid: string | undefined) {
  if (folder.series.length === 0) return undefined;
  try {
    return chooseDicomSeries(folder.series, folder.skipped, { seriesUid });
  } catch (error) {
    if (seriesUid === undefined && error instanceof ImagingError && error.code === 'no-axial-series') return undefined;
    throw error;
  }
}

function describeDicom(
  series: DicomSeries,
  volume: Volume<Int16Array>,
  chosen: boolean,
  context: readonly DicomProblem[],
): InspectedSeries {
  const { uid, description, modality, rows, columns, rowSpacing, columnSpacing, orientation, positions } = series;
  return {
    uid,
    description,
    modality,
    chosen,
    slices: volume.slices,
    rows,
    columns,
    rowSpacing,
    columnSpacing,
    orientation: [...orientation],
    positions: positions.map(([x, y, z]) => [x, y, z]),
    tiltDegrees: series.tiltDegrees,
    stepMm: series.stepMm,
    ...valuesOf(volume),
    problems: [...context, ...series.problems],
  };
}

async function inspectNifti(path: string, { seriesUid, onChosen }: InspectOptions): Promise<Inspection> {
  if (seriesUid !== undefined) {
    throw new ImagingError('bad-argument', `Expected DICOM to choose the series ${seriesUid} from, found NIfTI.`);
  }
  const read = await readNiftiFile(path);
  const problems = read.header.problems.map(({ code, message }) => ({ code, message }));
  const volume = upwards(toHuVolume(read.volume));
  const { affine, slices, rows, columns } = volume;
  const across = affineColumn(affine, 0);
  const down = affineColumn(affine, 1);
  const step = affineColumn(affine, 2);
  const origin = flipLpsRas(affineColumn(affine, 3));
  const spacing = norm(step);
  const inspected: InspectedSeries = {
    uid: '',
    description: '',
    modality: '',
    chosen: true,
    slices,
    rows,
    columns,
    rowSpacing: norm(down),
    columnSpacing: norm(across),
    orientation: [...flipLpsRas(normalize(across)), ...flipLpsRas(normalize(down))],
    positions: Array.from({ length: slices }, (_, k) => {
      const [x, y, z] = flipLpsRas(scale(step, k));
      return [origin[0] + x, origin[1] + y, origin[2] + z] as const;
    }),
    tiltDegrees: tiltDegrees(affine),
    stepMm: { min: spacing, median: spacing, max: spacing },
    ...valuesOf(volume),
    problems,
  };
  onChosen?.(volume, inspected);
  return { series: [inspected], skipped: [] };
}

/** The volume with slices from inferior to superior, rows and columns as stored. */
function upwards(volume: Volume<Int16Array>): Volume<Int16Array> {
  const { affine, slices, rows, columns, data } = volume;
  const step = affineColumn(affine, 2);
  if (step[2] >= 0) return volume;
  const size = rows * columns;
  const reversed = new Int16Array(data.length);
  for (let k = 0; k < slices; k++) reversed.set(data.subarray((slices - 1 - k) * size, (slices - k) * size), k * size);
  const last = (axis: 0 | 1 | 2): number => affine[axis][3] + step[axis] * (slices - 1);
  const row = (axis: 0 | 1 | 2) => [affine[axis][0], affine[axis][1], -step[axis], last(axis)] as const;
  const at = (axis: 0 | 1 | 2): [number, number, number, number] => [...row(axis)];
  return { ...volume, data: reversed, affine: [at(0), at(1), at(2), [0, 0, 0, 1]] };
}

function valuesOf({ data }: Volume<Int16Array>): Pick<InspectedSeries, 'hu' | 'sha256'> {
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  for (const hu of data) {
    if (hu < min) min = hu;
    if (hu > max) max = hu;
    sum += hu;
  }
  const sha256 = createHash('sha256').update(littleEndian(data)).digest('hex');
  return { hu: { min, max, mean: sum / Math.max(1, data.length) }, sha256 };
}

function littleEndian(data: Int16Array): Uint8Array {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? bytes : Buffer.from(bytes).swap16();
}
