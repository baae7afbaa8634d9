import { open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { createGunzip, gzip } from 'node:zlib';

import { ImagingError, messageOf } from '../imaging-error.js';
import {
  HeaderAssembler,
  NiftiAssembler,
  VoxelAssembler,
  type Available,
  type NiftiImage,
  type NiftiReadOptions,
} from '../nifti/assembler.js';
import type { NiftiHeader } from '../nifti/header.js';
import { checkPaired, isGzip } from '../nifti/read.js';
import { writeNifti, type NiftiWriteOptions } from '../nifti/write.js';
import type { Volume } from '../volume.js';
import { writeFileAtomic } from './atomic-write.js';

/** Names of the two files of a pair: `.hdr` and `.img`, each perhaps compressed. */
const PAIRED_NAME = /\.(hdr|img)(\.gz)?$/i;

/** Whether a file of this name is one half of a `.hdr/.img` pair. */
export function isPairedName(path: string): boolean {
  return PAIRED_NAME.test(path);
}

/**
 * Reads a `.nii` or `.nii.gz` file, or a `.hdr/.img` pair of which either is named, as a stream (compression is told by
 * content); errors as {@link readNifti}'s, naming the file.
 */
export async function readNiftiFile(path: string, options: NiftiReadOptions = {}): Promise<NiftiImage> {
  if (isPairedName(path)) return readPairFiles(path, options);
  return stream(path, (available) => new NiftiAssembler(available, options));
}

/** The header of a `.nii` or `.nii.gz` file, or of a `.hdr` file; no voxels are read. */
export async function readNiftiFileHeader(path: string): Promise<NiftiHeader> {
  return stream(path, () => new HeaderSink());
}

/** Takes a header, and no more once it has it. */
class HeaderSink implements Sink<NiftiHeader> {
  readonly #assembler = new HeaderAssembler();

  get isFull(): boolean {
    return this.#assembler.isComplete;
  }

  push(chunk: Uint8Array): void {
    this.#assembler.push(chunk);
  }

  finish(): NiftiHeader {
    return this.#assembler.header();
  }
}

async function readPairFiles(path: string, options: NiftiReadOptions): Promise<NiftiImage> {
  const [header, voxels] = await findPair(path);
  const checked = await stream(header, () => {
    const assembler = new HeaderAssembler();
    return {
      push: (chunk: Uint8Array) => {
        assembler.push(chunk);
      },
      finish: () => checkPaired(assembler.header()),
    };
  });
  return stream(voxels, (available) => new VoxelAssembler(checked, available, options));
}

/** The header file and the voxel file that belong to `path`, one of which it is; names may differ in case and `.gz`. */
export async function findPair(path: string): Promise<readonly [string, string]> {
  const folder = dirname(path);
  const stem = basename(path).replace(PAIRED_NAME, '');
  const names = await readdir(folder).catch(() => []);
  const find = (kind: string): string | undefined => {
    const fitting = names.filter(
      (name) => PAIRED_NAME.exec(name)?.[1]?.toLowerCase() === kind && name.replace(PAIRED_NAME, '') === stem,
    );
    return fitting.includes(basename(path)) ? basename(path) : fitting.sort((a, b) => a.length - b.length)[0];
  };
  const [header, voxels] = [find('hdr'), find('img')];
  if (header === undefined || voxels === undefined) {
    const missing = header === undefined ? 'header (.hdr)' : 'voxels (.img)';
    throw new ImagingError(
      'bad-argument',
      `Expected a .hdr/.img pair at ${path}, found no ${missing}: put both files side by side.`,
    );
  }
  return [join(folder, header), join(folder, voxels)];
}

interface Sink<T> {
  /** Whether the rest of the file can be left alone. */
  readonly isFull?: boolean;
  push(chunk: Uint8Array): void;
  finish(): T;
}

/** Streams a file, decompressed where it is gzipped, into what `begin` makes, and returns what that makes of it. */
async function stream<T>(path: string, begin: (available: Available) => Sink<T>): Promise<T> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw new ImagingError('bad-argument', `Expected a NIfTI file at ${path}, found none (${messageOf(error)}).`, {
      cause: error,
    });
  });
  try {
    const status = await file.stat();
    if (!status.isFile())
      throw new ImagingError('not-nifti', 'Expected a NIfTI file, found something that is no file.');
    const start = new Uint8Array(2);
    await file.read(start, 0, 2, 0);
    const compressed = isGzip(start);
    const sink = begin({ bytes: status.size, compressed });
    const raw = file.createReadStream({ start: 0, autoClose: false, highWaterMark: 2 ** 18 });
    if (compressed) {
      const gunzip = createGunzip({ chunkSize: 2 ** 18 });
      raw.on('error', (error) => gunzip.destroy(error));
      try {
        await fill(sink, raw.pipe(gunzip));
      } catch (error) {
        throw nameDamage(error);
      } finally {
        raw.destroy();
      }
    } else {
      await fill(sink, raw);
    }
    return sink.finish();
  } catch (error) {
    const code = error instanceof ImagingError ? error.code : 'bad-nifti';
    throw new ImagingError(code, `${path}: ${messageOf(error)}`, { cause: error });
  } finally {
    await file.close();
  }
}

/** What zlib's own words leave open: that the file is not what it should be. */
function nameDamage(error: unknown): unknown {
  const { code } = error as { readonly code?: string };
  if (!code?.startsWith('Z_')) return error;
  const found = code === 'Z_BUF_ERROR' ? 'one that is cut off' : `damaged data (${messageOf(error)})`;
  return new ImagingError('bad-nifti', `Expected a whole gzip file, found ${found}.`, { cause: error });
}

async function fill(sink: Sink<unknown>, chunks: AsyncIterable<unknown>): Promise<void> {
  for await (const chunk of chunks) {
    sink.push(chunk as Buffer);
    if (sink.isFull) return;
  }
}

export interface NiftiFileWriteOptions extends NiftiWriteOptions {
  /** zlib level 1 (quick) to 9 (small); 4 by default. */
  readonly level?: number;
}

/** Writes the volume to `path`, gzip-compressed where the name ends in `.gz`; under a temporary name until complete. */
export async function writeNiftiFile(path: string, volume: Volume, options: NiftiFileWriteOptions = {}): Promise<void> {
  const bytes = writeNifti(volume, options);
  await writeFileAtomic(
    path,
    path.endsWith('.gz') ? await promisify(gzip)(bytes, { level: options.level ?? 4 }) : bytes,
  );
}
