import { ImagingError } from '../imaging-error.js';
import type { Volume } from '../volume.js';
import { headerBytes, parseNiftiHeader, type NiftiHeader } from './header.js';
import { HEADER_BYTES, HEADER_BYTES_2 } from './layout.js';
import { decodeVoxels } from './voxels.js';

/** A NIfTI image as it is on disk: axes not reordered, nothing resampled. */
export interface NiftiImage {
  readonly volume: Volume;
  readonly header: NiftiHeader;
}

export interface NiftiReadOptions {
  /** Voxels of more bytes than this are refused before anything is allocated; 2 GiB by default. */
  readonly maxBytes?: number;
}

/** What a file holds, which a header's promise is checked against. */
export interface Available {
  readonly bytes: number;
  readonly compressed: boolean;
}

/** Deflate cannot do better than 1032 : 1, so a header that promises more is lying. */
const DEFLATE_LIMIT = 1032;
/** Some writers pad the end of a file; more than this after the voxels is a bomb. */
const TRAILING_BYTES = 2 ** 20;

/** Takes a header file (`.hdr`, or the start of a `.nii`) piece by piece, and keeps no more of it than a header has. */
export class HeaderAssembler {
  readonly #head = new Uint8Array(HEADER_BYTES_2);
  #position = 0;

  push(chunk: Uint8Array): void {
    if (this.#position > TRAILING_BYTES) throw oversized('a header file of some hundred bytes');
    if (this.#position < HEADER_BYTES_2) {
      this.#head.set(chunk.subarray(0, HEADER_BYTES_2 - this.#position), this.#position);
    }
    this.#position += chunk.length;
  }

  /** Whether all bytes of the header are there. @throws where they are not a header's. */
  get isComplete(): boolean {
    return this.#position >= HEADER_BYTES && this.#position >= headerBytes(this.#head);
  }

  header(): NiftiHeader {
    return parseNiftiHeader(this.#head.subarray(0, Math.min(this.#position, HEADER_BYTES_2)));
  }
}

/** Takes the voxels of a file piece by piece, as it is read or decompressed, and never holds more than its header promises. */
export class VoxelAssembler {
  readonly #voxels: Uint8Array<ArrayBuffer>;
  #position = 0;

  /** @throws ImagingError before anything is allocated, where the header promises more than the file can hold. */
  constructor(
    readonly header: NiftiHeader,
    { bytes, compressed }: Available,
    { maxBytes = 2 ** 31 }: NiftiReadOptions = {},
  ) {
    const { voxelBytes, voxelOffset, columns, rows, slices } = header;
    if (voxelBytes > maxBytes) {
      throw new ImagingError(
        'too-large',
        `Expected at most ${maxBytes} bytes of voxels, found a header that asks for ${voxelBytes} (${columns} x ${rows} x ${slices}).`,
      );
    }
    const most = compressed ? bytes * DEFLATE_LIMIT : bytes;
    if (voxelOffset + voxelBytes > most) throw truncated(header, Math.max(0, most - voxelOffset));
    this.#voxels = new Uint8Array(voxelBytes);
  }

  /** Takes the next bytes of the uncompressed file. */
  push(chunk: Uint8Array): void {
    const { voxelOffset, voxelBytes } = this.header;
    const start = this.#position;
    this.#position += chunk.length;
    const from = Math.max(start, voxelOffset);
    const to = Math.min(this.#position, voxelOffset + voxelBytes);
    if (from < to) this.#voxels.set(chunk.subarray(from - start, to - start), from - voxelOffset);
    if (this.#position > voxelOffset + voxelBytes + TRAILING_BYTES) {
      throw oversized(`${voxelBytes} bytes of voxels as the NIfTI header promises`);
    }
  }

  /** The image, once the file has ended. */
  finish(): NiftiImage {
    const { header } = this;
    const found = Math.max(0, this.#position - header.voxelOffset);
    if (found < header.voxelBytes) throw truncated(header, found);
    const { columns, rows, slices, affine } = header;
    return { volume: { data: decodeVoxels(this.#voxels.buffer, header), columns, rows, slices, affine }, header };
  }
}

/** Takes a single `.nii` file piece by piece. */
export class NiftiAssembler {
  readonly #head = new HeaderAssembler();
  readonly #waiting: Uint8Array[] = [];
  #voxels: VoxelAssembler | undefined;

  /** @param available bytes of the file, and whether they are compressed */
  constructor(
    readonly available: Available,
    readonly options: NiftiReadOptions = {},
  ) {}

  /** Takes the next bytes of the uncompressed file. */
  push(chunk: Uint8Array): void {
    if (this.#voxels !== undefined) {
      this.#voxels.push(chunk);
      return;
    }
    this.#head.push(chunk);
    if (this.#head.isComplete) this.#begin().push(chunk);
    else this.#waiting.push(chunk.slice());
  }

  /** The image, once the file has ended. */
  finish(): NiftiImage {
    return (this.#voxels ?? this.#begin()).finish();
  }

  #begin(): VoxelAssembler {
    const header = this.#head.header();
    if (header.paired) {
      throw new ImagingError(
        'unsupported',
        'Expected a single NIfTI file, found the header of a .hdr/.img pair: pass both files.',
      );
    }
    const voxels = new VoxelAssembler(header, this.available, this.options);
    for (const chunk of this.#waiting.splice(0)) voxels.push(chunk);
    this.#voxels = voxels;
    return voxels;
  }
}

function oversized(expected: string): ImagingError {
  return new ImagingError(
    'bad-nifti',
    `Expected ${expected}, found over a megabyte more: the file is damaged or hostile.`,
  );
}

function truncated(header: NiftiHeader, found: number): ImagingError {
  const { voxelBytes, columns, rows, slices } = header;
  return new ImagingError(
    'truncated',
    `Expected ${voxelBytes} bytes of voxels (${columns} x ${rows} x ${slices}), found at most ${found}: the NIfTI file is truncated or its header is wrong.`,
  );
}
