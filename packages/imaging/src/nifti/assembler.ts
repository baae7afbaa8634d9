import { ImagingError } from '../imaging-error.js';
import type { Volume } from '../volume.js';
import { HEADER_BYTES, parseNiftiHeader, type NiftiHeader } from './header.js';
import { decodeVoxels } from './voxels.js';

/** A NIfTI-1 image as it is on disk: axes not reordered, nothing resampled. */
export interface NiftiImage {
  readonly volume: Volume;
  readonly header: NiftiHeader;
}

export interface NiftiReadOptions {
  /** Voxels of more bytes than this are refused before anything is allocated; 2 GiB by default. */
  readonly maxBytes?: number;
}

/** Deflate cannot do better than 1032 : 1, so a header that promises more is lying. */
const DEFLATE_LIMIT = 1032;
/** Some writers pad the end of a file; more than this after the voxels is a bomb. */
const TRAILING_BYTES = 2 ** 20;

/** Takes a NIfTI file piece by piece, as it is read or decompressed, and never holds more than its header promises. */
export class NiftiAssembler {
  #head = new Uint8Array(HEADER_BYTES);
  #header: NiftiHeader | undefined;
  #voxels = new Uint8Array(0);
  #position = 0;

  /** @param available bytes of the file, and whether they are compressed; what the header's promise is checked against */
  constructor(
    readonly available: { readonly bytes: number; readonly compressed: boolean },
    readonly options: NiftiReadOptions = {},
  ) {}

  /** Takes the next bytes of the uncompressed file. */
  push(chunk: Uint8Array): void {
    if (this.#position < HEADER_BYTES) {
      this.#head.set(chunk.subarray(0, HEADER_BYTES - this.#position), this.#position);
    }
    const start = this.#position;
    this.#position += chunk.length;
    if (this.#position < HEADER_BYTES) return;
    this.#header ??= this.#begin();
    const { voxelOffset, voxelBytes } = this.#header;
    const from = Math.max(start, voxelOffset);
    const to = Math.min(this.#position, voxelOffset + voxelBytes);
    if (from < to) this.#voxels.set(chunk.subarray(from - start, to - start), from - voxelOffset);
    if (this.#position > voxelOffset + voxelBytes + TRAILING_BYTES) {
      throw new ImagingError(
        'bad-nifti',
        `Expected ${voxelBytes} bytes of voxels as the NIfTI header promises, found over a megabyte more: the file is damaged or hostile.`,
      );
    }
  }

  /** The image, once the file has ended. */
  finish(): NiftiImage {
    const header = this.#header ?? parseNiftiHeader(this.#head.subarray(0, this.#position));
    const found = Math.max(0, this.#position - header.voxelOffset);
    if (found < header.voxelBytes) throw truncated(header, found);
    const { columns, rows, slices, affine } = header;
    const data = decodeVoxels(this.#voxels.buffer, header);
    return { volume: { data, columns, rows, slices, affine }, header };
  }

  #begin(): NiftiHeader {
    const header = parseNiftiHeader(this.#head);
    const limit = this.options.maxBytes ?? 2 ** 31;
    const { voxelBytes, voxelOffset, columns, rows, slices } = header;
    if (voxelBytes > limit) {
      throw new ImagingError(
        'too-large',
        `Expected at most ${limit} bytes of voxels, found a header that asks for ${voxelBytes} (${columns} x ${rows} x ${slices}).`,
      );
    }
    const { bytes, compressed } = this.available;
    const most = compressed ? bytes * DEFLATE_LIMIT : bytes;
    if (voxelOffset + voxelBytes > most) throw truncated(header, Math.max(0, most - voxelOffset));
    this.#voxels = new Uint8Array(voxelBytes);
    return header;
  }
}

function truncated(header: NiftiHeader, found: number): ImagingError {
  const { voxelBytes, columns, rows, slices } = header;
  return new ImagingError(
    'truncated',
    `Expected ${voxelBytes} bytes of voxels (${columns} x ${rows} x ${slices}), found at most ${found}: the NIfTI file is truncated or its header is wrong.`,
  );
}
