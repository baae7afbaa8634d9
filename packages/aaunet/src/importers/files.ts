import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** A file below the folder that was listed. */
export interface FoundFile {
  /** Relative to the folder, with "/" on every system. */
  readonly path: string;
  readonly absolute: string;
}

const MAX_FILES = 200_000;
const MAX_DEPTH = 12;
const MAX_TEXT_BYTES = 64 * 2 ** 20;

/**
 * All files of a folder and below it, by path. Hidden files and folders (`.DS_Store`, `._x`, `__MACOSX`) are passed over,
 * links to folders are not followed, so that no loop and no way out of the folder is taken.
 *
 * @param passOver folders of this name are not looked into
 * @throws Error of one sentence if it is no folder or holds too much
 */
export async function listFiles(root: string, passOver?: RegExp): Promise<FoundFile[]> {
  const status = await stat(root).catch(() => undefined);
  if (status?.isFile() && /\.(zip|tar|tgz|gz|7z|rar)$/i.test(root)) {
    throw new Error(`Expected a folder or a zip archive, found ${root}: unpack it and name the folder.`);
  }
  if (!status?.isDirectory()) throw new Error(`Expected a folder at ${root}, found none; name the data set's folder.`);
  const files: FoundFile[] = [];
  const visit = async (folder: string, prefix: string, depth: number): Promise<void> => {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (entry.name.startsWith('.') || entry.name === '__MACOSX') continue;
      const absolute = join(folder, entry.name);
      const path = `${prefix}${entry.name}`;
      if (entry.isDirectory()) {
        if (depth < MAX_DEPTH && !passOver?.test(entry.name)) await visit(absolute, `${path}/`, depth + 1);
      } else if (entry.isFile() || (entry.isSymbolicLink() && (await isFile(absolute)))) {
        files.push({ path, absolute });
      }
      if (files.length > MAX_FILES) {
        throw new Error(`Expected at most ${MAX_FILES} files in ${root}, found more; name a smaller folder.`);
      }
    }
  };
  await visit(root, '', 0);
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (status) => status.isFile(),
    () => false,
  );
}

/** A text file of bounded size. */
export async function readText(path: string): Promise<string> {
  const { size } = await stat(path);
  if (size > MAX_TEXT_BYTES) throw new Error(`${path} has ${size} bytes, too many for a table.`);
  return (await readFile(path, 'utf8')).replace(/^\uFEFF/, '');
}

/** The name of a NIfTI file without folder and ending; undefined for other files (of a pair, only the header counts). */
export function niftiStem(path: string): string | undefined {
  return /([^/]+?)(\.nii|\.hdr)(\.gz)?$/i.exec(path)?.[1];
}

/** The NIfTI files directly in folders whose path matches, by stem; of equal stems the first. */
export function niftiFilesIn(files: readonly FoundFile[], folder: RegExp): Map<string, FoundFile> {
  const found = new Map<string, FoundFile>();
  for (const file of files) {
    const stem = niftiStem(file.path);
    const parent = file.path.slice(0, file.path.lastIndexOf('/') + 1);
    if (stem !== undefined && folder.test(parent) && !found.has(stem)) found.set(stem, file);
  }
  return found;
}

/** Rows of a comma-separated table (quotes and both line ends understood) as objects by trimmed lower-case header. */
export function parseCsv(text: string): Record<string, string>[] {
  const [header = [], ...rows] = text
    .split(/\r\n|\n|\r/)
    .filter((line) => line.trim() !== '')
    .map(splitRow);
  const names = header.map((name) => name.toLowerCase());
  return rows.map((row) => Object.fromEntries(names.map((name, index) => [name, row[index] ?? ''])));
}

function splitRow(line: string): string[] {
  const cells: string[] = [];
  let cell = '';
  let quoted = false;
  for (const character of line) {
    if (character === '"') quoted = !quoted;
    else if (character === ',' && !quoted) {
      cells.push(cell.trim());
      cell = '';
    } else cell += character;
  }
  return [...cells, cell.trim()];
}
