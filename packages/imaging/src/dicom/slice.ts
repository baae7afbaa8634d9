import { cross, dot, norm, type Vector3 } from '../affine.js';
import { ImagingError } from '../imaging-error.js';
import type { DicomDataset } from './dataset.js';
import { functionalGroups } from './functional-groups.js';
import { checkKind, isReformat } from './kind.js';
import { parseDicom, type DicomFile } from './parse.js';
import { DEFLATED, type PixelCodec, type TransferSyntax } from './syntaxes.js';
import { TAG } from './tags.js';

export type Orientation = readonly [number, number, number, number, number, number];

/** What one axial CT slice's header says, checked; nothing in it names the patient. */
export interface DicomSlice {
  /** The file, as its reader names it. */
  readonly file: string;
  /** Index in a multi-frame object, else 0. */
  readonly frame: number;
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly frameOfReferenceUid: string | undefined;
  readonly sopInstanceUid: string;
  readonly description: string;
  readonly seriesNumber: number | undefined;
  /** What the choice of a series goes by, as far as the file says. */
  readonly contrastAgent: string | undefined;
  readonly bodyPart: string | undefined;
  readonly kernel: string | undefined;
  readonly isReformat: boolean;
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
  readonly codec: PixelCodec;
  readonly syntaxName: string;
  /** Whether offsets refer to the inflated data set. */
  readonly deflated: boolean;
  readonly offset: number;
  /** Frames in the object. */
  readonly frames: number;
  readonly littleEndian: boolean;
  readonly bitsAllocated: number;
  readonly bitsStored: number;
  readonly highBit: number;
  readonly signed: boolean;
  readonly slope: number;
  readonly intercept: number;
  /** Whether the file gives no rescaling, so that 1 and 0 were assumed. */
  readonly rescaleAssumed: boolean;
  /** Stored value that marks pixels outside of the scanned field. */
  readonly padding: number | undefined;
  /** Low values are shown bright; HU are not touched by that. */
  readonly isMonochrome1: boolean;
  /** Whether transfer syntax or header say that values may have been changed by compression. */
  readonly lossy: boolean;
  /** What the header admits of that, ratios and methods as far as it gives them; undefined where it admits nothing. */
  readonly statedLoss: LossyCompression | undefined;
}

/** Lossy compressions that pixels went through, in their order: a ratio and DICOM's term of a method for each. */
export interface LossyCompression {
  readonly ratios: readonly number[];
  readonly methods: readonly string[];
}

const refuse = (message: string): ImagingError => new ImagingError('unsupported', message);

/** A frame's attribute may lie in its own or the shared functional group; of a plain slice all lie at the top. */
type FrameHeader = (group: number) => DicomDataset;

/**
 * Reads the header of an axial CT slice. Throws an {@link ImagingError} that says why for everything else: other
 * modalities, localizers, secondary captures, slices without geometry, damaged files, and objects of several frames, for
 * which {@link readDicomSlices} is.
 */
export function readDicomSlice(bytes: Uint8Array, file: string): DicomSlice {
  const slices = readDicomSlices(bytes, file);
  if (slices.length !== 1) throw refuse(`Expected one frame, found ${slices.length} frames: use readDicomSlices.`);
  return slices[0]!;
}

/**
 * Reads the header of a CT object: one slice, or the frames of an enhanced multi-frame object in the file's order. Errors as
 * {@link readDicomSlice}'s.
 *
 * @param total size of the file, where `bytes` is only its beginning; then {@link MoreBytesNeeded} may be thrown
 */
export function readDicomSlices(bytes: Uint8Array, file: string, total = bytes.length): DicomSlice[] {
  const parsed = parseDicom(bytes, total);
  checkKind(parsed);
  const { dataset } = parsed;
  const frames = dataset.decimal(TAG.numberOfFrames) ?? 1;
  const headers = frameHeaders(dataset, frames);
  const rows = required(dataset.uint16(TAG.rows), 'Rows');
  const columns = required(dataset.uint16(TAG.columns), 'Columns');
  if (!(rows > 0 && columns > 0)) throw new ImagingError('bad-dicom', 'Expected rows and columns above 0, found 0.');
  const place = checkPixels(parsed, rows * columns, frames);
  const common = {
    file,
    studyUid: dataset.text(TAG.studyInstanceUid) ?? '',
    seriesUid: dataset.text(TAG.seriesInstanceUid) ?? '',
    frameOfReferenceUid: dataset.text(TAG.frameOfReferenceUid),
    sopInstanceUid: dataset.text(TAG.sopInstanceUid) ?? '',
    description: dataset.text(TAG.seriesDescription) ?? dataset.text(TAG.studyDescription) ?? '',
    seriesNumber: seriesNumberOf(dataset),
    contrastAgent: dataset.text(TAG.contrastAgent),
    bodyPart: dataset.text(TAG.bodyPart),
    kernel: dataset.text(TAG.convolutionKernel),
    rows,
    columns,
  };
  const size = rows * columns * ((dataset.uint16(TAG.bitsAllocated) ?? 16) / 8);
  return headers.map((header, frame) => ({
    ...common,
    frame,
    ...readGeometry(dataset, header, frame),
    pixels: {
      ...place,
      offset: place.codec === 'native' ? place.offset + frame * size : place.offset,
      ...readRescale(header(TAG.framePixelTransformation)),
    },
  }));
}

/** The number is only for people: one that is none is not worth a refusal. */
function seriesNumberOf(dataset: DicomDataset): number | undefined {
  const number = Number.parseInt(dataset.text(TAG.seriesNumber) ?? '', 10);
  return Number.isNaN(number) ? undefined : number;
}

function frameHeaders(dataset: DicomDataset, frames: number): FrameHeader[] {
  const { hasAny, groups } = functionalGroups(dataset);
  if (!hasAny) {
    if (frames !== 1) throw refuse(`Expected one frame, found ${frames} frames without functional groups.`);
    return [() => dataset];
  }
  if (groups.length !== frames) {
    throw new ImagingError('bad-dicom', `Expected ${frames} functional groups of frames, found ${groups.length}.`);
  }
  return groups.map((ofFrame) => (group) => ofFrame(group) ?? dataset);
}

function readGeometry(
  dataset: DicomDataset,
  header: FrameHeader,
  frame: number,
): Pick<
  DicomSlice,
  | 'acquisitionNumber'
  | 'instanceNumber'
  | 'rowSpacing'
  | 'columnSpacing'
  | 'orientation'
  | 'position'
  | 'thickness'
  | 'isReformat'
> {
  const measures = header(TAG.framePixelMeasures);
  const [rowSpacing, columnSpacing] = vector(measures, TAG.pixelSpacing, 2, 'Pixel Spacing') as [number, number];
  if (!(rowSpacing > 0 && columnSpacing > 0)) {
    throw new ImagingError('bad-dicom', 'Expected Pixel Spacing above 0, found others.');
  }
  const orientationHolder = header(TAG.framePlaneOrientation);
  const orientation = vector(orientationHolder, TAG.imageOrientation, 6, 'Image Orientation') as unknown as Orientation;
  checkAxial(orientation);
  const thickness = measures.decimal(TAG.sliceThickness);
  const acquisition = header(TAG.frameContent).decimal(TAG.frameAcquisitionNumber);
  return {
    acquisitionNumber: acquisition ?? dataset.decimal(TAG.acquisitionNumber) ?? 0,
    instanceNumber: (dataset.decimal(TAG.instanceNumber) ?? 0) + frame,
    rowSpacing,
    columnSpacing,
    orientation,
    position: vector(header(TAG.framePlanePosition), TAG.imagePosition, 3, 'Image Position') as unknown as Vector3,
    thickness: thickness !== undefined && thickness > 0 && thickness < 1000 ? thickness : undefined,
    isReformat: isReformat(dataset, header(TAG.ctFrameType).texts(TAG.frameType)),
  };
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
      'Expected axial slices, found another plane (a sagittal or coronal reformat, or a localizer): pass the axial series.',
    );
  }
}

type PixelPlace = Omit<PixelEncoding, 'slope' | 'intercept' | 'rescaleAssumed'>;

function checkPixels({ dataset, pixelData, syntax }: DicomFile, voxels: number, frames: number): PixelPlace {
  const bits = readBits(dataset);
  if (pixelData === undefined) throw new ImagingError('bad-dicom', 'Expected pixels in the CT slice, found none.');
  const size = (voxels * frames * bits.bitsAllocated) / 8;
  if (!pixelData.encapsulated && pixelData.length < size) {
    throw new ImagingError(
      'truncated',
      `Expected ${size} bytes of pixels, found ${pixelData.length}: the file is truncated.`,
    );
  }
  // An empty slice packs well, but nothing packs large pictures a thousandfold: what promises that is hostile.
  if (pixelData.encapsulated && size > 2 ** 21 && pixelData.length * 1000 < size) {
    throw new ImagingError(
      'truncated',
      `Expected compressed pixels for ${size} bytes, found only ${pixelData.length} bytes: the file is damaged.`,
    );
  }
  const photometric = dataset.text(TAG.photometricInterpretation) ?? 'MONOCHROME2';
  if (!photometric.startsWith('MONOCHROME')) throw refuse(`Expected grey pixels, found ${photometric.slice(0, 16)}.`);
  return {
    codec: syntax.codec,
    syntaxName: syntax.name,
    deflated: syntax.uid === DEFLATED,
    offset: pixelData.offset,
    frames,
    littleEndian: dataset.littleEndian,
    ...bits,
    padding: paddingOf(dataset, bits),
    isMonochrome1: photometric === 'MONOCHROME1',
    ...lossOf(dataset, syntax),
  };
}

function readBits(dataset: DicomDataset): Pick<PixelEncoding, 'bitsAllocated' | 'bitsStored' | 'highBit' | 'signed'> {
  const bitsAllocated = required(dataset.uint16(TAG.bitsAllocated), 'Bits Allocated');
  const bitsStored = dataset.uint16(TAG.bitsStored) ?? bitsAllocated;
  const highBit = dataset.uint16(TAG.highBit) ?? bitsStored - 1;
  const fits = (bitsAllocated === 16 || bitsAllocated === 8) && bitsStored >= 1 && bitsStored <= bitsAllocated;
  if (!fits || highBit >= bitsAllocated || highBit < bitsStored - 1) {
    throw refuse(
      `Expected pixels of up to 8 bits in 8 or 16 bits in 16, found ${bitsStored} bits in ${bitsAllocated}, the highest bit being ${highBit}.`,
    );
  }
  return { bitsAllocated, bitsStored, highBit, signed: dataset.uint16(TAG.pixelRepresentation) === 1 };
}

function paddingOf(dataset: DicomDataset, { bitsStored, signed }: { bitsStored: number; signed: boolean }) {
  const raw = dataset.uint16(TAG.pixelPadding);
  if (raw === undefined) return undefined;
  const unused = 32 - bitsStored;
  return signed ? (raw << unused) >> unused : (raw << unused) >>> unused;
}

function lossOf(dataset: DicomDataset, syntax: TransferSyntax): Pick<PixelEncoding, 'lossy' | 'statedLoss'> {
  const isFlagged = dataset.text(TAG.lossyCompression) === '01';
  // A ratio that is no number, or a method that is no code, is not worth a refusal.
  const ratios = dataset
    .texts(TAG.lossyRatio)
    .map(Number)
    .filter((ratio) => ratio > 0 && ratio < 1e6);
  const methods = dataset.texts(TAG.lossyMethod).filter((method) => /^[A-Z0-9_ ]{1,16}$/.test(method));
  const isStated = isFlagged || (syntax.lossy && ratios.length > 0);
  return { lossy: syntax.lossy || isFlagged, statedLoss: isStated ? { ratios, methods } : undefined };
}

function readRescale(dataset: DicomDataset): Pick<PixelEncoding, 'slope' | 'intercept' | 'rescaleAssumed'> {
  const slope = dataset.decimal(TAG.rescaleSlope);
  const intercept = dataset.decimal(TAG.rescaleIntercept);
  if (slope === 0) throw new ImagingError('bad-dicom', 'Expected a Rescale Slope other than 0, found 0.');
  return {
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
