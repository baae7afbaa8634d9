import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { createGunzip, gzip } from 'node:zlib';

import { ImagingError, messageOf } from '../imaging-error.js';
import { NiftiAssembler, type NiftiImage, type NiftiReadOptions } from '../nifti/assembler.js';
import { isGzip } from '../nifti/read.js';
import { writeNifti, type NiftiWriteOptions } from '../nifti/write.js';
import type { Volume } from '../volume.js';
import { writeFileAtomically } from './atomic-write.js';

/** Reads a `.nii` or `.nii.gz` file (told apart by content) as a stream; errors as {@link readNifti}'s, naming the file. */
export async function readNiftiFile(path: string, options: NiftiReadOptions = {}): Promise<NiftiImage> {
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
    const assembler = new NiftiAssembler({ bytes: status.size, compressed }, options);
    const raw = file.createReadStream({ start: 0, autoClose: false, highWaterMark: 2 ** 18 });
    if (compressed) {
      const gunzip = createGunzip({ chunkSize: 2 ** 18 });
      raw.on('error', (error) => gunzip.destroy(error));
      try {
        for await (const chunk of raw.pipe(gunzip)) assembler.push(chunk as Buffer);
      } finally {
        raw.destroy();
      }
    } else {
      for await (const chunk of raw) assembler.push(chunk as Buffer);
    }
    return assembler.finish();
  } catch (error) {
    const code = error instanceof ImagingError ? error.code : 'bad-nifti';
    throw new ImagingError(code, `${path}: ${messageOf(error)}`, { cause: error });
  } finally {
    await file.close();
  }
}

export interface NiftiFileWriteOptions extends NiftiWriteOptions {
  /** zlib level 1 (quick) to 9 (small); 4 by default. */
  readonly level?: number;
}

/** Writes the volume to `path`, gzip-compressed where the name ends in `.gz`; under a temporary name until complete. */
export async function writeNiftiFile(path: string, volume: Volume, options: NiftiFileWriteOptions = {}): Promise<void> {
  const bytes = writeNifti(volume, options);
  await writeFileAtomically(
    path,
    path.endsWith('.gz') ? await promisify(gzip)(bytes, { level: options.level ?? 4 }) : bytes,
  );
}
