import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { SkippedFile } from '../dicom/read.js';
import { ImagingError, messageOf } from '../imaging-error.js';

const MAX_FILES = 200_000;
const MAX_DEPTH = 32;

/** The files in a folder and below it, in the order of their names; links to folders are not followed. */
export async function listFiles(root: string, skipped: SkippedFile[]): Promise<string[]> {
  const files: string[] = [];
  const visit = async (folder: string, depth: number): Promise<void> => {
    for (const entry of await entriesOf(folder, depth === 0 ? undefined : skipped)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && depth < MAX_DEPTH) await visit(path, depth + 1);
      else if (entry.isFile() || (entry.isSymbolicLink() && (await isFile(path)))) files.push(path);
      if (files.length > MAX_FILES) {
        throw new ImagingError(
          'too-large',
          `Expected at most ${MAX_FILES} files in ${root}, found more: name a smaller folder.`,
        );
      }
    }
  };
  await visit(root, 0);
  return files;
}

/** What a folder holds, by name; one that cannot be read is noted in `skipped`, or refused where that is absent. */
async function entriesOf(folder: string, skipped: SkippedFile[] | undefined): Promise<Dirent[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    const reason = `Expected a folder that can be read, found none (${messageOf(error)}).`;
    if (skipped === undefined) throw new ImagingError('bad-argument', `${folder}: ${reason}`, { cause: error });
    skipped.push({ file: folder, reason });
    return [];
  }
}

/** The file at a path whose parts may be written in other cases: media in capitals are often copied to lower case. */
export async function findIgnoringCase(folder: string, parts: readonly string[]): Promise<string | undefined> {
  let path = folder;
  for (const part of parts) {
    const names = await readdir(path).catch((): string[] => []);
    const name = names.includes(part) ? part : names.find((one) => one.toLowerCase() === part.toLowerCase());
    if (name === undefined) return undefined;
    path = join(path, name);
  }
  return (await isFile(path)) ? path : undefined;
}

/** Whether there is a file (or a link to one) at the path. */
async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
