import { ImagingError } from '../imaging-error.js';
import type { Affine } from '../volume.js';
import { readGeometry } from './geometry.js';
import { FIELDS, HEADER_BYTES, HEADER_BYTES_2, type FieldReader, type NiftiVersion } from './layout.js';

export type NiftiType =
  'uint8' | 'int8' | 'int16' | 'uint16' | 'int32' | 'uint32' | 'int64' | 'uint64' | 'float32' | 'float64';

const TYPES: ReadonlyMap<number, { readonly type: NiftiType; readonly bytes: number }> = new Map([
  [2, { type: 'uint8', bytes: 1 }],
  [4, { type: 'int16', bytes: 2 }],
  [8, { type: 'int32', bytes: 4 }],
  [16, { type: 'float32', bytes: 4 }],
  [64, { type: 'float64', bytes: 8 }],
  [256, { type: 'int8', bytes: 1 }],
  [512, { type: 'uint16', bytes: 2 }],
  [768, { type: 'uint32', bytes: 4 }],
  [1024, { type: 'int64', bytes: 8 }],
  [1280, { type: 'uint64', bytes: 8 }],
]);

/** Why other data types are not read; the types themselves are in the NIfTI standard. */
const REFUSED_TYPES: Readonly<Record<number, string>> = {
  1: 'single bits',
  32: 'complex numbers',
  128: 'RGB colours',
  1536: '128-bit floats, which every machine lays out differently',
  1792: 'complex numbers',
  2048: 'complex numbers',
  2304: 'RGBA colours',
};

export type NiftiProblemCode =
  'affine-from-pixdim' | 'affine-disagreement' | 'unusable-affine' | 'sheared-affine' | 'scaling-ignored';

/** Something about a header that its reader should know; what was done about it is in the message. */
export interface NiftiProblem {
  readonly code: NiftiProblemCode;
  readonly message: string;
}

/** What a NIfTI header says about its image, checked. */
export interface NiftiHeader {
  readonly version: NiftiVersion;
  /** Whether the voxels are in a file of their own, the `.img` of a `.hdr/.img` pair. */
  readonly paired: boolean;
  readonly littleEndian: boolean;
  readonly type: NiftiType;
  readonly columns: number;
  readonly rows: number;
  readonly slices: number;
  /** Where the voxels begin in the file that holds them, and how many bytes they are. */
  readonly voxelOffset: number;
  readonly voxelBytes: number;
  /** value = stored * slope + intercept; 1 and 0 where the header asks for no scaling. */
  readonly slope: number;
  readonly intercept: number;
  /** Voxel index to RAS+ mm, and which of the header's three descriptions it was taken from. */
  readonly affine: Affine;
  readonly affineFrom: 'sform' | 'qform' | 'pixdim';
  readonly problems: readonly NiftiProblem[];
  readonly description: string;
}

const bad = (message: string): ImagingError => new ImagingError('bad-nifti', message);

/** Bytes of the header that begins with these (at least four) bytes: 348, or 540 for NIfTI-2. @throws where it is none. */
export function headerBytes(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sizes = [view.getInt32(0, true), view.getInt32(0, false)];
  if (sizes.includes(HEADER_BYTES)) return HEADER_BYTES;
  if (sizes.includes(HEADER_BYTES_2)) return HEADER_BYTES_2;
  throw new ImagingError('not-nifti', 'Expected a NIfTI file, found no header size of 348 or 540 at its start.');
}

/** Reads and checks the header of a NIfTI-1 or NIfTI-2 file; allocates nothing by what it says. */
export function parseNiftiHeader(bytes: Uint8Array): NiftiHeader {
  const size = bytes.length < 4 ? HEADER_BYTES : headerBytes(bytes);
  if (bytes.length < size) {
    throw new ImagingError(
      'truncated',
      `Expected a NIfTI header of ${size} bytes, found a file of ${bytes.length} bytes.`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, size);
  const littleEndian = view.getInt32(0, true) === size;
  const version = size === HEADER_BYTES ? 1 : 2;
  const fields = FIELDS[version](view, littleEndian);
  const paired = isPaired(bytes, version);
  const [columns, rows, slices] = readDimensions(fields);
  const { type, bytes: width } = readType(fields);
  const problems: NiftiProblem[] = [];
  return {
    version,
    paired,
    littleEndian,
    type,
    columns,
    rows,
    slices,
    voxelOffset: readVoxelOffset(fields, paired ? 0 : size),
    voxelBytes: columns * rows * slices * width,
    ...readScaling(fields, problems),
    ...readGeometry(fields, problems),
    problems,
    description: readText(bytes.subarray(fields.descriptionAt, fields.descriptionAt + 80)),
  };
}

function isPaired(bytes: Uint8Array, version: NiftiVersion): boolean {
  const start = version === 1 ? 344 : 4;
  const magic = String.fromCharCode(...bytes.subarray(start, start + 3));
  if (magic === `n+${version}`) return false;
  if (magic === `ni${version}`) return true;
  const plain = version === 1 && bytes.subarray(344, 348).every((byte) => byte === 0);
  throw new ImagingError(
    'not-nifti',
    plain
      ? 'Expected a NIfTI file, found an Analyze 7.5 header, which does not say which side is left: convert it with the tool that wrote it.'
      : `Expected a NIfTI-${version} file, found no "n+${version}" or "ni${version}" mark in its header.`,
  );
}

function readDimensions({ dim }: FieldReader): [number, number, number] {
  const count = dim(0);
  if (!(count >= 2 && count <= 7)) throw bad(`Expected 2 to 7 dimensions, found ${count}.`);
  // Beyond the third, writers leave 0 where they mean 1.
  const sizes = Array.from({ length: count }, (_, index) => (index > 2 ? Math.max(dim(index + 1), 1) : dim(index + 1)));
  if (!sizes.every((size) => size >= 1 && size <= 2 ** 31)) {
    throw bad(`Expected sizes of at least 1, found ${sizes.join(' x ')}.`);
  }
  if (sizes.slice(3).some((size) => size > 1)) {
    throw new ImagingError('unsupported', `Expected one volume, found ${sizes.join(' x ')}: split the file first.`);
  }
  return [sizes[0]!, sizes[1]!, sizes[2] ?? 1];
}

function readType({ datatype, bitpix }: FieldReader): { type: NiftiType; bytes: number } {
  const type = TYPES.get(datatype);
  if (type === undefined) {
    const what = REFUSED_TYPES[datatype] ?? `the unknown NIfTI data type ${datatype}`;
    throw new ImagingError(
      'unsupported',
      `Expected voxels that are integers of up to 64 bits or floats, found ${what}: convert the file first.`,
    );
  }
  if (bitpix !== type.bytes * 8) {
    throw bad(`Expected ${type.bytes * 8} bits a voxel for ${type.type}, found ${bitpix} in the header.`);
  }
  return type;
}

function readVoxelOffset({ voxelOffset }: FieldReader, least: number): number {
  if (!Number.isInteger(voxelOffset) || voxelOffset < least || voxelOffset > 2 ** 30) {
    throw bad(`Expected voxels at byte ${least} or later, found the offset ${voxelOffset} in the header.`);
  }
  return voxelOffset;
}

function readScaling({ slope, intercept }: FieldReader, problems: NiftiProblem[]): Scaling {
  // A slope of 0 is the standard's way to say "none", NaN that of common writers.
  if (slope === 0 || (Number.isNaN(slope) && (Number.isNaN(intercept) || intercept === 0))) return NO_SCALING;
  if (Number.isFinite(slope) && Number.isFinite(intercept)) return { slope, intercept };
  const used = Number.isFinite(slope) ? { slope, intercept: 0 } : NO_SCALING;
  problems.push({
    code: 'scaling-ignored',
    message: `The header asks for a slope of ${slope} and an intercept of ${intercept}; ${used.slope} and 0 were used.`,
  });
  return used;
}

interface Scaling {
  readonly slope: number;
  readonly intercept: number;
}

const NO_SCALING: Scaling = { slope: 1, intercept: 0 };

function readText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  const text = String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
  return text.replaceAll(/[^\x20-\x7e]/g, ' ').trim();
}
