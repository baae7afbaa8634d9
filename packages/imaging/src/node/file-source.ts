import { open } from 'node:fs/promises';

import type { FileSource } from '../dicom/scan.js';
import { ImagingError } from '../imaging-error.js';
import { openZip, type RandomAccess, type ZipEntry } from '../zip.js';

/** An enhanced CT of 2,000 slices fits; a larger file than this is not read. */
const MAX_FILE_BYTES = 2 ** 30;

/** A file on disk; throws where it has changed between two reads. */
export function fileOnDisk(path: string): FileSource {
  let stamp: string | undefined;
  return {
    name: path,
    async read(limit = Infinity, room?: ArrayBuffer) {
      const file = await open(path, 'r');
      try {
        const { size, mtimeMs } = await file.stat();
        const now = `${size} ${mtimeMs}`;
        if (stamp !== undefined && stamp !== now) {
          throw new ImagingError('changed', `Expected ${path} as it was a moment ago, found it changed: read again.`);
        }
        stamp = now;
        if (size > MAX_FILE_BYTES && limit >= size) {
          throw new ImagingError('too-large', `Expected a file of at most ${MAX_FILE_BYTES} bytes, found ${size}.`);
        }
        const wanted = Math.min(size, limit);
        const bytes =
          room !== undefined && room.byteLength >= wanted
            ? new Uint8Array(room, 0, wanted)
            : Buffer.allocUnsafeSlow(wanted);
        let filled = 0;
        while (filled < bytes.length) {
          const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, filled);
          if (bytesRead === 0) break;
          filled += bytesRead;
        }
        return { bytes: bytes.subarray(0, filled), size };
      } finally {
        await file.close();
      }
    },
  };
}

/** The files in a zip archive on disk. */
export async function filesInZip(path: string): Promise<FileSource[]> {
  return (await openZipFile(path)).map((entry) => ({
    name: `${path}!${entry.name}`,
    read: async (limit) => ({ bytes: await entry.read(limit), size: entry.size }),
  }));
}

/** The entries of a zip archive on disk (see {@link openZip}); nothing is unpacked before it is asked for. */
export async function openZipFile(path: string): Promise<ZipEntry[]> {
  return openZip(await randomAccess(path));
}

async function randomAccess(path: string): Promise<RandomAccess> {
  const file = await open(path, 'r');
  const { size } = await file.stat();
  await file.close();
  return {
    size,
    async read(offset, length) {
      const handle = await open(path, 'r');
      try {
        const bytes = Buffer.allocUnsafeSlow(length);
        const { bytesRead } = await handle.read(bytes, 0, length, offset);
        if (bytesRead < length) {
          throw new ImagingError('truncated', `Expected ${path} as it was a moment ago, found it shorter: read again.`);
        }
        return bytes;
      } finally {
        await handle.close();
      }
    },
  };
}
