import { mkdir, open, readdir, rm, statfs, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { ZipEntry } from '@aaunet/imaging';
import { openZipFile } from '@aaunet/imaging/node';

/** Never filled to the last byte: the new data set needs room, too. */
const SPARE_BYTES = 2 ** 26;
const MAX_DEPTH = 32;

/** Whether a path is a zip archive, by content. */
export async function isZip(path: string): Promise<boolean> {
  const start = new Uint8Array(4);
  const file = await open(path, 'r').catch(() => undefined);
  if (file === undefined) return false;
  try {
    if (!(await file.stat()).isFile()) return false;
    await file.read(start, 0, start.length, 0);
  } finally {
    await file.close();
  }
  return start[0] === 0x50 && start[1] === 0x4b && (start[2] === 3 || start[2] === 5);
}

/**
 * Unpacks a zip archive into a new folder, which is removed again where that fails. Hidden files (`.DS_Store`,
 * `__MACOSX`) are left out. What is unpacked has the archive's time, so that unpacking it again changes nothing.
 *
 * @returns the folder that a data set's layout begins in: the only folder at the archive's top, where it has but one
 * @throws Error of one sentence for entries that would lie outside of the folder, damage, or too little room on the disk
 */
export async function unpackZip(path: string, folder: string, signal?: AbortSignal): Promise<string> {
  const entries = (await openZipFile(path)).map((entry) => ({ entry, parts: partsOf(entry.name, path) }));
  const wanted = entries.filter(({ parts }) => !parts.some((part) => part.startsWith('.') || part === '__MACOSX'));
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  try {
    await checkRoom(wanted, folder, path);
    const { mtime } = await stat(path);
    for (const { entry, parts } of wanted) {
      signal?.throwIfAborted();
      const file = join(folder, ...parts);
      await mkdir(dirname(file), { recursive: true });
      // 'wx': on some systems a.nii and A.nii are one file, of which neither may win.
      await writeFile(file, await entry.read(), { flag: 'wx' });
      await utimes(file, mtime, mtime);
    }
    return await topOf(folder);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') {
      throw new Error(`Expected files of different names in ${path}, found two of one name: unpack it first.`, {
        cause: error,
      });
    }
    throw error;
  }
}

/** The parts of an entry's path, which must lead below the folder that it is unpacked to. */
function partsOf(name: string, path: string): readonly string[] {
  const parts = name.split(/[\\/]/);
  const isSafe = parts.every((part) => part !== '' && part !== '.' && part !== '..' && !/[\0:]/.test(part));
  if (!isSafe || parts.length > MAX_DEPTH) {
    const shown = JSON.stringify(name.slice(0, 80));
    throw new Error(`Expected files below the top of the archive ${path}, found ${shown}: it may be hostile.`);
  }
  return parts;
}

async function checkRoom(wanted: readonly { readonly entry: ZipEntry }[], folder: string, path: string): Promise<void> {
  const bytes = wanted.reduce((sum, { entry }) => sum + entry.size, 0);
  const { bavail, bsize } = await statfs(folder);
  const room = bavail * bsize - SPARE_BYTES;
  if (bytes > room) {
    const [need, have] = [bytes, Math.max(0, room)].map((size) => `${(size / 2 ** 30).toFixed(1)} GiB`);
    throw new Error(
      `Expected room for the ${need} that ${path} unpacks to, found ${have}: write to another disk, or unpack it elsewhere and name the folder.`,
    );
  }
}

async function topOf(folder: string): Promise<string> {
  const found = await readdir(folder, { withFileTypes: true });
  return found.length === 1 && found[0]!.isDirectory() ? join(folder, found[0]!.name) : folder;
}
