import { isGzip } from './nifti/read.js';

/** Bytes from the beginning of a file that tell what it is. */
export const START_BYTES = 348;

/** What a file is by its first bytes: an unknown one is taken for DICOM, which has no mark in old files. */
export function kindOfStart(start: Uint8Array): 'zip' | 'nifti' | 'dicom' {
  if (start[0] === 0x50 && start[1] === 0x4b && (start[2] === 3 || start[2] === 5)) return 'zip';
  const size = start.length >= 4 ? new DataView(start.buffer, start.byteOffset, start.length) : undefined;
  const sized = [348, 540].some((known) => size?.getInt32(0, true) === known || size?.getInt32(0, false) === known);
  return isGzip(start) || sized ? 'nifti' : 'dicom';
}
