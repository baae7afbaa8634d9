import { Gunzip } from 'fflate';

import { crc32 } from '../crc32.js';
import { ImagingError, messageOf } from '../imaging-error.js';
import {
  HeaderAssembler,
  NiftiAssembler,
  VoxelAssembler,
  type NiftiImage,
  type NiftiReadOptions,
} from './assembler.js';
import type { NiftiHeader } from './header.js';

/** Compressed bytes handed to the decompressor at once: bounds what a bomb can make before it is noticed (64 MiB). */
const CHUNK_BYTES = 2 ** 16;

/** Whether these bytes begin as a gzip file does. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * Reads a NIfTI-1 or NIfTI-2 image (`.nii` or `.nii.gz`) from memory, voxels in the order of the file.
 *
 * Refuses truncated files, headers that promise more than the file holds, one half of a `.hdr/.img` pair, complex and
 * colour voxels and more than one volume, each in one sentence. For files on disk `readNiftiFile` of the node entry is
 * quicker.
 */
export function readNifti(bytes: Uint8Array, options: NiftiReadOptions = {}): NiftiImage {
  const assembler = new NiftiAssembler({ bytes: bytes.length, compressed: isGzip(bytes) }, options);
  pushAll(bytes, assembler);
  return assembler.finish();
}

/** Reads a NIfTI-1 or NIfTI-2 image whose header (`.hdr`) and voxels (`.img`) are two files, either of them gzipped or not. */
export function readNiftiPair(header: Uint8Array, voxels: Uint8Array, options: NiftiReadOptions = {}): NiftiImage {
  const head = new HeaderAssembler();
  pushAll(header, head);
  const assembler = new VoxelAssembler(
    checkPaired(head.header()),
    { bytes: voxels.length, compressed: isGzip(voxels) },
    options,
  );
  pushAll(voxels, assembler);
  return assembler.finish();
}

/** The header, if it is one of a pair. @throws where its voxels belong into the same file. */
export function checkPaired(header: NiftiHeader): NiftiHeader {
  if (header.paired) return header;
  throw new ImagingError(
    'bad-nifti',
    'Expected the header of a .hdr/.img pair, found that of a single NIfTI file: name it .nii and read it alone.',
  );
}

interface Sink {
  push(chunk: Uint8Array): void;
}

function pushAll(bytes: Uint8Array, sink: Sink): void {
  if (isGzip(bytes)) gunzipInto(bytes, sink);
  else sink.push(bytes);
}

function gunzipInto(bytes: Uint8Array, sink: Sink): void {
  let size = 0;
  let crc = 0;
  const gunzip = new Gunzip((chunk) => {
    size += chunk.length;
    crc = crc32(chunk, crc);
    sink.push(chunk);
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
