import { Gunzip } from 'fflate';

import { crc32 } from '../crc32.js';
import { ImagingError, messageOf } from '../imaging-error.js';
import { NiftiAssembler, type NiftiImage, type NiftiReadOptions } from './assembler.js';

/** Compressed bytes handed to the decompressor at once: bounds what a bomb can make before it is noticed (64 MiB). */
const CHUNK_BYTES = 2 ** 16;

/** Whether these bytes begin as a gzip file does. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * Reads a NIfTI-1 image (`.nii` or `.nii.gz`) from memory, voxels in the order of the file.
 *
 * Refuses truncated files, headers that promise more than the file holds, `.hdr/.img` pairs, NIfTI-2, complex and colour
 * voxels and more than one volume, each in one sentence. For files on disk `readNiftiFile` of the node entry is quicker.
 */
export function readNifti(bytes: Uint8Array, options: NiftiReadOptions = {}): NiftiImage {
  const compressed = isGzip(bytes);
  const assembler = new NiftiAssembler({ bytes: bytes.length, compressed }, options);
  if (compressed) gunzipInto(bytes, assembler);
  else assembler.push(bytes);
  return assembler.finish();
}

function gunzipInto(bytes: Uint8Array, assembler: NiftiAssembler): void {
  let size = 0;
  let crc = 0;
  const gunzip = new Gunzip((chunk) => {
    size += chunk.length;
    crc = crc32(chunk, crc);
    assembler.push(chunk);
  });
  try {
    for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
      const end = Math.min(bytes.length, start + CHUNK_BYTES);
      gunzip.push(bytes.subarray(start, end), end === bytes.length);
    }
  } catch (error) {
    if (error instanceof ImagingError) throw error;
    throw new ImagingError('bad-nifti', `Expected a gzip file, found damaged data (${messageOf(error)}).`, {
      cause: error,
    });
  }
  const trailer = new DataView(bytes.buffer, bytes.byteOffset + Math.max(0, bytes.length - 8));
  // The trailer of a file of several gzip members speaks of the last alone, so only a matching length is conclusive.
  if (bytes.length >= 18 && trailer.getUint32(4, true) === size && trailer.getUint32(0, true) !== crc) {
    throw new ImagingError(
      'bad-nifti',
      'Expected the checksum of the gzip file to match its content, found another: the file is damaged.',
    );
  }
}
