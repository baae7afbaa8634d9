export {
  affineColumn,
  affineDeterminant,
  affineFromColumns,
  affineFromDicom,
  flipLpsRas,
  patientToVoxel,
  sliceExtents,
  sliceNormal,
  spacingOf,
  tiltDegrees,
  voxelToPatient,
  voxelVolumeMl,
  voxelVolumesMl,
} from './affine.js';
export type { DicomStack, Vector3 } from './affine.js';
export { crc32 } from './crc32.js';
export { ImagingError, messageOf } from './imaging-error.js';
export type { ImagingErrorCode } from './imaging-error.js';
export { CLASS_COUNT, LABELS, labelById, labelByName } from './labels.js';
export type { Label, LabelName } from './labels.js';
export type { NiftiImage, NiftiReadOptions } from './nifti/assembler.js';
export type { NiftiHeader, NiftiType } from './nifti/header.js';
export { isGzip, readNifti } from './nifti/read.js';
export { writeNifti, writeNiftiGz } from './nifti/write.js';
export type { NiftiWriteOptions } from './nifti/write.js';
export type { Affine, Volume, VoxelArray } from './volume.js';
