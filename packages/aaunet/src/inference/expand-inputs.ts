import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { studyUidOf } from '@aaunet/imaging/node';

const NIFTI = /\.nii(\.gz)?$/i;
/** Files of a folder that are looked at before it counts as one without DICOM. */
const TRIES = 5;
const DEEPEST = 6;

/** The study of the first DICOM file in a folder or below it. */
async function studyIn(folder: string, depth = 0): Promise<string | undefined> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile()).map(({ name }) => join(folder, name));
  for (const file of files.sort().slice(0, TRIES)) {
    const study = await studyUidOf(file);
    if (study !== undefined) return study;
  }
  if (depth >= DEEPEST) return undefined;
  for (const entry of entries.filter((candidate) => candidate.isDirectory())) {
    const study = await studyIn(join(folder, entry.name), depth + 1);
    if (study !== undefined) return study;
  }
  return undefined;
}

/**
 * The scans that inputs name: a folder with NIfTI files, or with the folders of more than one DICOM study, stands for each of
 * these; any other input is one scan. Entries come in the order of their names; hidden ones are passed over.
 */
export async function expandInputs(inputs: readonly string[]): Promise<string[]> {
  const expanded: string[] = [];
  for (const input of inputs) {
    const status = await stat(input).catch(() => undefined);
    expanded.push(...(status?.isDirectory() ? await expandFolder(input) : [input]));
  }
  return expanded;
}

async function expandFolder(folder: string): Promise<string[]> {
  const entries = (await readdir(folder, { withFileTypes: true }))
    .filter(({ name }) => !name.startsWith('.'))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name));
  const nifti = entries
    .filter((entry) => entry.isFile() && NIFTI.test(entry.name))
    .map(({ name }) => join(folder, name));
  if (nifti.length > 0) return nifti;
  const studies = new Set<string>();
  for (const one of folders) {
    const study = await studyIn(one);
    if (study !== undefined) studies.add(study);
    if (studies.size > 1) return folders;
  }
  return [folder];
}
