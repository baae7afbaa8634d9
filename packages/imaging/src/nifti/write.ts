import { gzipSync } from 'fflate';

import { spacingOf } from '../affine.js';
import { ImagingError } from '../imaging-error.js';
import type { Volume, VoxelArray } from '../volume.js';
import { HEADER_BYTES } from './layout.js';
import { qformOf } from './quaternion.js';

const VOXEL_OFFSET = 352;

export interface NiftiWriteOptions {
  /** Up to 79 ASCII characters for the header's `descrip`. */
  readonly description?: string;
}

/**
 * The volume as an uncompressed NIfTI-1 file: uint8, int16, float32 or float64 as its data is, sform (code 1) equal to its affine
 * in float32, and a qform where the affine has no shear. Uneven slice positions have no place in NIfTI and are not written.
 */
export function writeNifti(volume: Volume, options: NiftiWriteOptions = {}): Uint8Array<ArrayBuffer> {
  checkShape(volume);
  const { data } = volume;
  const bytes = new Uint8Array(VOXEL_OFFSET + data.byteLength);
  writeHeader(new DataView(bytes.buffer), volume, options.description ?? '');
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), VOXEL_OFFSET);
  return bytes;
}

/** {@link writeNifti}, gzip-compressed; equal volumes give equal bytes (no time stamp). */
export function writeNiftiGz(volume: Volume, options: NiftiWriteOptions = {}): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gzipSync(writeNifti(volume, options), { mtime: 0 }));
}

function checkShape({ data, columns, rows, slices, affine }: Volume): void {
  if (![columns, rows, slices].every((size) => Number.isInteger(size) && size >= 1 && size <= 32767)) {
    throw new ImagingError('bad-argument', `Expected sizes from 1 to 32767, found ${columns} x ${rows} x ${slices}.`);
  }
  if (data.length !== columns * rows * slices) {
    throw new ImagingError(
      'bad-argument',
      `Expected ${columns * rows * slices} voxels for ${columns} x ${rows} x ${slices}, found ${data.length}.`,
    );
  }
  if (!affine.flat().every(Number.isFinite)) {
    throw new ImagingError('bad-argument', 'Expected an affine of finite numbers, found NaN or infinity.');
  }
}

function typeCode(data: VoxelArray): readonly [code: number, bits: number] {
  if (data instanceof Uint8Array) return [2, 8];
  if (data instanceof Int16Array) return [4, 16];
  return data instanceof Float32Array ? [16, 32] : [64, 64];
}

function writeHeader(view: DataView, { data, columns, rows, slices, affine }: Volume, description: string): void {
  const int16 = (offset: number, ...values: number[]): void => {
    values.forEach((value, index) => {
      view.setInt16(offset + 2 * index, value, true);
    });
  };
  const float32 = (offset: number, ...values: number[]): void => {
    values.forEach((value, index) => {
      view.setFloat32(offset + 4 * index, value, true);
    });
  };
  const text = (offset: number, value: string, limit: number): void => {
    for (let index = 0; index < Math.min(value.length, limit); index++) {
      const code = value.charCodeAt(index);
      view.setUint8(offset + index, code >= 32 && code < 127 ? code : 63);
    }
  };
  const qform = qformOf(affine);
  view.setInt32(0, HEADER_BYTES, true);
  view.setUint8(38, 'r'.charCodeAt(0));
  int16(40, 3, columns, rows, slices, 1, 1, 1, 1);
  int16(70, ...typeCode(data));
  float32(76, qform?.handedness ?? 1, ...spacingOf(affine), 1, 1, 1, 1);
  float32(108, VOXEL_OFFSET, 1, 0);
  view.setUint8(123, 2);
  text(148, description, 79);
  int16(252, qform === undefined ? 0 : 1, 1);
  if (qform !== undefined) float32(256, ...qform.quaternion, ...qform.offset);
  float32(280, ...affine[0], ...affine[1], ...affine[2]);
  text(344, 'n+1', 3);
}
