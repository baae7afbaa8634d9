import { ImagingError } from '../imaging-error.js';
import { parseDicom } from './parse.js';
import { DICOMDIR_STORAGE, TAG } from './tags.js';

/**
 * The files that a DICOMDIR lists, each as the parts of its path from the DICOMDIR's folder; undefined where the bytes are
 * no DICOMDIR. Throws where it is damaged or lists something that is no path inside of its folder.
 */
export function dicomdirFiles(bytes: Uint8Array): string[][] | undefined {
  const { dataset, mediaSopClass } = parseDicom(bytes);
  if (mediaSopClass !== DICOMDIR_STORAGE) return undefined;
  const files: string[][] = [];
  for (const record of dataset.items(TAG.directoryRecords)) {
    const parts = record.texts(TAG.referencedFileId);
    if (parts.length === 0) continue;
    if (parts.some((part) => part === '' || part === '.' || part === '..' || /[/\\:]/.test(part))) {
      throw new ImagingError(
        'bad-dicom',
        `Expected file names in the DICOMDIR, found "${parts.join('\\').slice(0, 80)}".`,
      );
    }
    files.push(parts);
  }
  return files;
}
