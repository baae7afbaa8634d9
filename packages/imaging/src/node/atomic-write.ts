import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

function temporarySibling(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

async function syncToDisk(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A rename is only durable once its folder is; some file systems cannot sync a folder, which then is no failure. */
async function syncFolder(path: string): Promise<void> {
  try {
    await syncToDisk(path);
  } catch {
    return;
  }
}

/** Temporary names older than this are nobody's any more. */
const ABANDONED_MS = 3_600_000;

/** The temporary files and folders of `path`, each with the process that made it. */
async function temporariesOf(path: string): Promise<{ temporary: string; processId: number }[]> {
  const start = `.${basename(path)}.`;
  const names = await readdir(dirname(path)).catch(() => []);
  return names.flatMap((name) => {
    const made = name.startsWith(start) ? /^(\d+)-[0-9a-f]{8}\.tmp$/.exec(name.slice(start.length)) : null;
    return made ? [{ temporary: join(dirname(path), name), processId: Number(made[1]) }] : [];
  });
}

/** Removes what a process that has ended left of its writing of `path`. */
export async function removeLeftBy(processId: number, path: string): Promise<void> {
  for (const found of await temporariesOf(path)) {
    if (found.processId === processId) await rm(found.temporary, { force: true, recursive: true });
  }
}

/** A process that was killed leaves its temporary files and folders; removed are those of `path` that nobody has touched for long. */
async function removeAbandoned(path: string): Promise<void> {
  for (const { temporary: old } of await temporariesOf(path)) {
    const found = await stat(old).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > ABANDONED_MS)
      await rm(old, { force: true, recursive: true }).catch(() => undefined);
  }
}

/** System calls on a temporary file or folder or an open one do not name what was asked for. */
function nameFile(error: unknown, temporary: string, path: string): void {
  if (!(error instanceof Error) || !('syscall' in error)) return;
  const { path: named } = error as NodeJS.ErrnoException;
  if (named === undefined || named.startsWith(temporary)) Object.assign(error, { path });
}

/**
 * Lets `write` produce a file under a temporary name beside `path`, flushes it and renames it to `path`, whose folder is
 * made if needed. A reader sees the old file or the whole new one; on failure the temporary file is removed, and
 * what a killed process left an hour ago or longer is removed, too. Errors of the file system name `path`.
 */
export async function replaceFile(path: string, write: (temporary: string) => Promise<void> | void): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await removeAbandoned(path);
  const temporary = temporarySibling(path);
  try {
    await write(temporary);
    await syncToDisk(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true, recursive: true });
    nameFile(error, temporary, path);
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Writes bytes or UTF-8 text to `path` atomically (see `replaceFile`). */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  await replaceFile(path, async (temporary) => {
    const handle = await open(temporary, 'wx');
    try {
      await handle.writeFile(data);
    } finally {
      await handle.close();
    }
  });
}

/**
 * Lets `fill` produce a folder under a temporary name and renames it to `path`. An existing folder is replaced only if it
 * holds nothing but `replaceable` names (an earlier output of the same command): a user's own files are never removed. What
 * a killed process left an hour ago or longer is removed, as `replaceFile` does.
 *
 * @throws Error if `path` exists and holds anything else; nothing is changed then. Errors of the file system name `path`.
 */
export async function replaceFolder(
  path: string,
  replaceable: readonly string[],
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const existing = await readdir(path).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  const foreign = existing?.find((name) => !replaceable.includes(name));
  if (foreign !== undefined) {
    throw new Error(
      `Expected ${path} to be absent or an earlier output, but it holds "${foreign}"; name another output folder or move that file.`,
    );
  }
  await removeAbandoned(path);
  const temporary = temporarySibling(path);
  try {
    await mkdir(temporary);
    await fill(temporary);
    for (const name of await readdir(temporary)) await syncToDisk(join(temporary, name));
    if (existing) {
      const old = temporarySibling(path);
      await rename(path, old);
      try {
        await rename(temporary, path);
      } catch (error) {
        await rename(old, path);
        throw error;
      }
      await rm(old, { recursive: true, force: true });
    } else {
      await rename(temporary, path);
    }
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    nameFile(error, temporary, path);
    throw error;
  }
  await syncFolder(dirname(path));
}
