import { affineDeterminant } from '../affine.js';
import { ImagingError } from '../imaging-error.js';
import type { Affine } from '../volume.js';
import { affineFromQuaternion } from './quaternion.js';

export const HEADER_BYTES = 348;

export type NiftiType = 'uint8' | 'int8' | 'int16' | 'uint16' | 'int32' | 'uint32' | 'float32' | 'float64';

const TYPES: ReadonlyMap<number, { readonly type: NiftiType; readonly bytes: number }> = new Map([
  [2, { type: 'uint8', bytes: 1 }],
  [4, { type: 'int16', bytes: 2 }],
  [8, { type: 'int32', bytes: 4 }],
  [16, { type: 'float32', bytes: 4 }],
  [64, { type: 'float64', bytes: 8 }],
  [256, { type: 'int8', bytes: 1 }],
  [512, { type: 'uint16', bytes: 2 }],
  [768, { type: 'uint32', bytes: 4 }],
]);

/** What a NIfTI-1 header says about its image, checked. */
export interface NiftiHeader {
  readonly littleEndian: boolean;
  readonly type: NiftiType;
  readonly columns: number;
  readonly rows: number;
  readonly slices: number;
  /** Where the voxels begin in the file, and how many bytes they are. */
  readonly voxelOffset: number;
  readonly voxelBytes: number;
  /** value = stored * slope + intercept; 1 and 0 where the header asks for no scaling. */
  readonly slope: number;
  readonly intercept: number;
  /** Voxel index to RAS+ mm, and which of the header's three descriptions it was taken from. */
  readonly affine: Affine;
  readonly affineFrom: 'sform' | 'qform' | 'pixdim';
  readonly description: string;
}

const bad = (message: string): ImagingError => new ImagingError('bad-nifti', message);

/** Reads and checks the first 348 bytes of a NIfTI-1 file; allocates nothing by what they say. */
export function parseNiftiHeader(bytes: Uint8Array): NiftiHeader {
  if (bytes.length < HEADER_BYTES) {
    throw new ImagingError(
      'truncated',
      `Expected a NIfTI-1 header of 348 bytes, found a file of ${bytes.length} bytes.`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const littleEndian = endianness(view);
  const magic = String.fromCharCode(...bytes.subarray(344, 347));
  if (magic === 'ni1') {
    throw new ImagingError(
      'unsupported',
      'Expected a single NIfTI file (.nii), found one half of a .hdr/.img pair: join them first.',
    );
  }
  if (magic !== 'n+1')
    throw new ImagingError('not-nifti', 'Expected a NIfTI-1 file, found no "n+1" mark in its header.');
  const [columns, rows, slices] = readDimensions(view, littleEndian);
  const code = view.getInt16(70, littleEndian);
  const type = TYPES.get(code);
  if (type === undefined) {
    throw new ImagingError(
      'unsupported',
      `Expected voxels that are integers of up to 32 bits or floats, found NIfTI data type ${code}: convert the file first.`,
    );
  }
  const bits = view.getInt16(72, littleEndian);
  if (bits !== type.bytes * 8)
    throw bad(`Expected ${type.bytes * 8} bits a voxel for ${type.type}, found ${bits} in the header.`);
  const voxelOffset = view.getFloat32(108, littleEndian);
  if (!Number.isInteger(voxelOffset) || voxelOffset < 352 || voxelOffset > 2 ** 30) {
    throw bad(`Expected voxels at byte 352 or later, found the offset ${voxelOffset} in the header.`);
  }
  const { slope, intercept } = readScaling(view, littleEndian);
  return {
    littleEndian,
    type: type.type,
    columns,
    rows,
    slices,
    voxelOffset,
    voxelBytes: columns * rows * slices * type.bytes,
    slope,
    intercept,
    ...readAffine(view, littleEndian),
    description: readText(bytes.subarray(148, 228)),
  };
}

function endianness(view: DataView): boolean {
  if (view.getInt32(0, true) === 348) return true;
  if (view.getInt32(0, false) === 348) return false;
  if (view.getInt32(0, true) === 540 || view.getInt32(0, false) === 540) {
    throw new ImagingError('unsupported', 'Expected a NIfTI-1 file, found NIfTI-2: convert it to NIfTI-1 first.');
  }
  throw new ImagingError('not-nifti', 'Expected a NIfTI-1 file, found no header size of 348 at its start.');
}

function readDimensions(view: DataView, littleEndian: boolean): [number, number, number] {
  const dim = (index: number): number => view.getInt16(40 + 2 * index, littleEndian);
  const count = dim(0);
  if (count < 2 || count > 7) throw bad(`Expected 2 to 7 dimensions, found ${count}.`);
  const sizes = Array.from({ length: count }, (_, index) => dim(index + 1));
  if (sizes.some((size) => size < 1)) throw bad(`Expected sizes of at least 1, found ${sizes.join(' x ')}.`);
  if (sizes.slice(3).some((size) => size > 1)) {
    throw new ImagingError('unsupported', `Expected one volume, found ${sizes.join(' x ')}: split the file first.`);
  }
  return [sizes[0]!, sizes[1]!, sizes[2] ?? 1];
}

function readScaling(view: DataView, littleEndian: boolean): { slope: number; intercept: number } {
  const slope = view.getFloat32(112, littleEndian);
  const intercept = view.getFloat32(116, littleEndian);
  if (slope === 0 || !Number.isFinite(slope)) return { slope: 1, intercept: 0 };
  return { slope, intercept: Number.isFinite(intercept) ? intercept : 0 };
}

/** Factor from the file's length unit to mm; an unknown unit is taken for mm, as everywhere. */
function millimetres(view: DataView): number {
  const unit = view.getUint8(123) & 7;
  return unit === 1 ? 1000 : unit === 3 ? 0.001 : 1;
}

function readAffine(view: DataView, littleEndian: boolean): Pick<NiftiHeader, 'affine' | 'affineFrom'> {
  const float = (offset: number): number => view.getFloat32(offset, littleEndian);
  const unit = millimetres(view);
  const spacing = [float(80), float(84), float(88)].map((length) => Math.abs(length) * unit) as [
    number,
    number,
    number,
  ];
  if (view.getInt16(254, littleEndian) > 0) {
    const row = (start: number): [number, number, number, number] => [
      float(start) * unit,
      float(start + 4) * unit,
      float(start + 8) * unit,
      float(start + 12) * unit,
    ];
    const affine: Affine = [row(280), row(296), row(312), [0, 0, 0, 1]];
    if (isUsable(affine)) return { affine, affineFrom: 'sform' };
  }
  if (view.getInt16(252, littleEndian) > 0) {
    const affine = affineFromQuaternion({
      quaternion: [float(256), float(260), float(264)],
      offset: [float(268) * unit, float(272) * unit, float(276) * unit],
      spacing,
      handedness: float(76) < 0 ? -1 : 1,
    });
    if (isUsable(affine)) return { affine, affineFrom: 'qform' };
  }
  const affine: Affine = [
    [spacing[0], 0, 0, 0],
    [0, spacing[1], 0, 0],
    [0, 0, spacing[2], 0],
    [0, 0, 0, 1],
  ];
  if (!isUsable(affine)) throw bad('Expected an affine or voxel sizes above 0 mm in the NIfTI header, found neither.');
  return { affine, affineFrom: 'pixdim' };
}

function isUsable(affine: Affine): boolean {
  const determinant = Math.abs(affineDeterminant(affine));
  return affine.flat().every(Number.isFinite) && determinant > 1e-12 && determinant < 1e12;
}

function readText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  const text = String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
  return text.replaceAll(/[^\x20-\x7e]/g, ' ').trim();
}
