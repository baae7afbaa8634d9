import { cross, dot, norm, type Vector3 } from '../affine.js';
import { crc32 } from '../crc32.js';
import { ImagingError } from '../imaging-error.js';
import type { DicomDataset } from './dataset.js';
import { parseDicom } from './parse.js';
import { CT_IMAGE_STORAGE, TAG } from './tags.js';

export type Orientation = readonly [number, number, number, number, number, number];

/** What one axial CT slice's header says, checked; nothing in it names the patient. */
export interface DicomSlice {
  /** The file, as its reader names it. */
  readonly file: string;
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly frameOfReferenceUid: string | undefined;
  readonly sopInstanceUid: string;
  readonly description: string;
  readonly acquisitionNumber: number;
  readonly instanceNumber: number;
  readonly rows: number;
  readonly columns: number;
  readonly rowSpacing: number;
  readonly columnSpacing: number;
  readonly orientation: Orientation;
  /** Image Position Patient: centre of the first voxel, LPS+ mm. */
  readonly position: Vector3;
  readonly thickness: number | undefined;
  readonly pixels: PixelEncoding;
}

/** How the stored pixels lie in the file and become HU. */
export interface PixelEncoding {
  readonly offset: number;
  readonly littleEndian: boolean;
  readonly bitsStored: number;
  readonly highBit: number;
  readonly signed: boolean;
  readonly slope: number;
  readonly intercept: number;
  /** Whether the file gives no rescaling, so that 1 and 0 were assumed. */
  readonly rescaleAssumed: boolean;
  /** CRC-32 of the stored pixels, to tell duplicates. */
  readonly crc: number;
}

const LOCALIZERS = /LOCALI[SZ]ER|SCOUT|SURVIEW|TOPOGRAM/i;

const refuse = (message: string): ImagingError => new ImagingError('unsupported', message);

/**
 * Reads the header of an uncompressed axial CT slice. Throws an {@link ImagingError} that says why for everything else:
 * other modalities, localizers, secondary captures, multi-frame objects, slices without geometry, damaged files.
 */
export function readDicomSlice(bytes: Uint8Array, file: string): DicomSlice {
  const { dataset, pixelData } = parseDicom(bytes);
  checkKind(dataset);
  const rows = required(dataset.uint16(TAG.rows), 'Rows');
  const columns = required(dataset.uint16(TAG.columns), 'Columns');
  const [rowSpacing, columnSpacing] = vector(dataset, TAG.pixelSpacing, 2, 'Pixel Spacing') as [number, number];
  if (!(rowSpacing > 0 && columnSpacing > 0 && rows > 0 && columns > 0)) {
    throw new ImagingError('bad-dicom', 'Expected rows, columns and Pixel Spacing above 0, found others.');
  }
  const orientation = vector(dataset, TAG.imageOrientation, 6, 'Image Orientation') as unknown as Orientation;
  checkAxial(orientation);
  if (pixelData === undefined) throw new ImagingError('bad-dicom', 'Expected pixels in the CT slice, found none.');
  const size = rows * columns * 2;
  if (pixelData.length < size) {
    throw new ImagingError(
      'truncated',
      `Expected ${size} bytes of pixels, found ${pixelData.length}: the file is truncated.`,
    );
  }
  const thickness = dataset.decimal(TAG.sliceThickness);
  const stored = bytes.subarray(pixelData.offset, pixelData.offset + size);
  return {
    file,
    studyUid: dataset.text(TAG.studyInstanceUid) ?? '',
    seriesUid: dataset.text(TAG.seriesInstanceUid) ?? '',
    frameOfReferenceUid: dataset.text(TAG.frameOfReferenceUid),
    sopInstanceUid: dataset.text(TAG.sopInstanceUid) ?? '',
    description: dataset.text(TAG.seriesDescription) ?? dataset.text(TAG.studyDescription) ?? '',
    acquisitionNumber: dataset.decimal(TAG.acquisitionNumber) ?? 0,
    instanceNumber: dataset.decimal(TAG.instanceNumber) ?? 0,
    rows,
    columns,
    rowSpacing,
    columnSpacing,
    orientation,
    position: vector(dataset, TAG.imagePosition, 3, 'Image Position') as unknown as Vector3,
    thickness: thickness !== undefined && thickness > 0 && thickness < 1000 ? thickness : undefined,
    pixels: {
      offset: pixelData.offset,
      littleEndian: dataset.littleEndian,
      ...readEncoding(dataset),
      crc: crc32(stored),
    },
  };
}

/**
 * Writes the slice's HU, stored * slope + intercept rounded, to `out` (rows x columns values); returns how many had to be
 * clamped to int16. `bytes` is the file that the header was read from.
 */
export function decodeDicomSlice(bytes: Uint8Array, slice: DicomSlice, out: Int16Array): number {
  const { offset, littleEndian, bitsStored, highBit, signed, slope, intercept } = slice.pixels;
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, slice.rows * slice.columns * 2);
  const shift = highBit + 1 - bitsStored;
  // Left, then arithmetic right: drops what lies above the stored bits and extends the sign in one go.
  const unused = 32 - bitsStored;
  let clamped = 0;
  for (let index = 0; index < out.length; index++) {
    const raw = (view.getUint16(index * 2, littleEndian) >>> shift) << unused;
    const hu = Math.round((signed ? raw >> unused : raw >>> unused) * slope + intercept);
    if (hu < -32768 || hu > 32767) clamped++;
    out[index] = hu < -32768 ? -32768 : hu > 32767 ? 32767 : hu;
  }
  return clamped;
}

function checkKind(dataset: DicomDataset): void {
  const modality = dataset.text(TAG.modality);
  if (modality !== 'CT') throw refuse(`Expected CT, found the modality ${modality?.slice(0, 16) ?? '(none)'}.`);
  const imageType = dataset.texts(TAG.imageType);
  if (imageType.some((value) => LOCALIZERS.test(value))) {
    throw refuse(`Expected an axial CT slice, found a localizer (image type ${imageType.join('\\').slice(0, 80)}).`);
  }
  const sopClass = dataset.text(TAG.sopClassUid) ?? CT_IMAGE_STORAGE;
  if (sopClass !== CT_IMAGE_STORAGE) {
    throw refuse(
      `Expected a CT Image Storage object, found the SOP class ${sopClass.slice(0, 64)}: export the original axial slices.`,
    );
  }
  const frames = dataset.decimal(TAG.numberOfFrames) ?? 1;
  const samples = dataset.uint16(TAG.samplesPerPixel) ?? 1;
  if (frames !== 1 || samples !== 1) {
    throw refuse(`Expected one frame of one sample a pixel, found ${frames} frames of ${samples} samples.`);
  }
}

function checkAxial(o: Orientation): void {
  const across: Vector3 = [o[0], o[1], o[2]];
  const down: Vector3 = [o[3], o[4], o[5]];
  const skewed = Math.max(Math.abs(norm(across) - 1), Math.abs(norm(down) - 1), Math.abs(dot(across, down)));
  if (!(skewed < 0.01)) {
    throw new ImagingError(
      'bad-dicom',
      `Expected unit vectors at right angles as Image Orientation, found ${o.join('\\')}.`,
    );
  }
  // 45 degrees: beyond any gantry tilt, and below every sagittal or coronal plane.
  if (Math.abs(cross(across, down)[2]) < Math.SQRT1_2) {
    throw refuse(
      'Expected axial slices, found another plane (sagittal, coronal or a localizer): pass the axial series.',
    );
  }
}

function readEncoding(dataset: DicomDataset): Omit<PixelEncoding, 'offset' | 'littleEndian' | 'crc'> {
  const allocated = required(dataset.uint16(TAG.bitsAllocated), 'Bits Allocated');
  const bitsStored = dataset.uint16(TAG.bitsStored) ?? allocated;
  const highBit = dataset.uint16(TAG.highBit) ?? bitsStored - 1;
  if (allocated !== 16 || bitsStored < 1 || bitsStored > 16 || highBit > 15 || highBit < bitsStored - 1) {
    throw refuse(
      `Expected pixels of up to 16 bits in 16, found ${bitsStored} bits in ${allocated}, the highest bit being ${highBit}.`,
    );
  }
  const slope = dataset.decimal(TAG.rescaleSlope);
  const intercept = dataset.decimal(TAG.rescaleIntercept);
  if (slope === 0) throw new ImagingError('bad-dicom', 'Expected a Rescale Slope other than 0, found 0.');
  return {
    bitsStored,
    highBit,
    signed: dataset.uint16(TAG.pixelRepresentation) === 1,
    slope: slope ?? 1,
    intercept: intercept ?? 0,
    rescaleAssumed: slope === undefined || intercept === undefined,
  };
}

function required<T>(value: T | undefined, what: string): T {
  if (value === undefined)
    throw new ImagingError('bad-dicom', `Expected ${what} in the CT slice's header, found none.`);
  return value;
}

function vector(dataset: DicomDataset, tag: number, length: number, what: string): readonly number[] {
  const values = required(dataset.decimals(tag), what);
  if (values.length !== length || values.some((value) => Math.abs(value) > 1e6)) {
    throw new ImagingError(
      'bad-dicom',
      `Expected ${length} numbers as ${what}, found ${values.slice(0, 8).join('\\')}.`,
    );
  }
  return values;
}
