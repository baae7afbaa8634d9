import { scanDicomSources, type DicomFolder, type FileSource } from './dicom/scan.js';
import { kindOfStart, START_BYTES } from './file-kind.js';
import { ImagingError } from './imaging-error.js';
import type { NiftiImage } from './nifti/assembler.js';
import { readNifti, readNiftiPair } from './nifti/read.js';
import { openZip } from './zip.js';

/** A file as a web page gets it, with its path in the folder that was dropped or chosen. */
export interface NamedBlob {
  readonly name: string;
  readonly blob: Blob;
}

/** What is in the files: a NIfTI image, or DICOM whose series are read with {@link loadChosenSeries}. */
export type BlobStudy =
  | { readonly kind: 'nifti'; readonly name: string; readonly image: NiftiImage }
  | { readonly kind: 'dicom'; readonly folder: DicomFolder };

const MAX_BYTES = 2 ** 31;

const bytesOf = async (blob: Blob): Promise<Uint8Array> => new Uint8Array(await blob.arrayBuffer());

function sourceOf({ name, blob }: NamedBlob): FileSource {
  return {
    name,
    read: async (limit = Infinity) => ({
      bytes: await bytesOf(limit < blob.size ? blob.slice(0, limit) : blob),
      size: blob.size,
    }),
  };
}

async function sourcesInZip({ name, blob }: NamedBlob): Promise<FileSource[]> {
  const read = (offset: number, length: number): Promise<Uint8Array> => bytesOf(blob.slice(offset, offset + length));
  return (await openZip({ size: blob.size, read })).map((entry) => ({
    name: `${name}!${entry.name}`,
    read: async (limit) => ({ bytes: await entry.read(limit), size: entry.size }),
  }));
}

/**
 * Tells what files are, by content, and reads one NIfTI image, or the headers of DICOM files, folders and zip archives; a
 * browser's counterpart of `readVolume`.
 *
 * @throws ImagingError where there is no file, or several NIfTI images
 */
export async function readBlobs(files: readonly NamedBlob[]): Promise<BlobStudy> {
  if (files.length === 0)
    throw new ImagingError('bad-argument', 'Expected a DICOM folder, zip or NIfTI file, found no file.');
  const pair = pairOf(files);
  if (pair !== undefined) {
    const [header, voxels] = pair;
    const image = readNiftiPair(await bytesOf(header.blob), await bytesOf(voxels.blob), { maxBytes: MAX_BYTES });
    return { kind: 'nifti', name: header.name, image };
  }
  const sources: FileSource[] = [];
  const images: NamedBlob[] = [];
  for (const file of files) {
    const kind = kindOfStart(await bytesOf(file.blob.slice(0, START_BYTES)));
    if (kind === 'nifti') images.push(file);
    else sources.push(...(kind === 'zip' ? await sourcesInZip(file) : [sourceOf(file)]));
  }
  const [image, another] = images;
  if (another !== undefined && sources.length === 0) {
    throw new ImagingError('bad-argument', `Expected one NIfTI file, found ${images.length}: open them one by one.`);
  }
  if (image !== undefined && sources.length === 0) {
    return { kind: 'nifti', name: image.name, image: readNifti(await bytesOf(image.blob), { maxBytes: MAX_BYTES }) };
  }
  const skipped = images.map(({ name }) => ({ file: name, reason: 'Expected a DICOM file, found NIfTI.' }));
  const names = new Set(sources.map(({ name }) => name.toLowerCase()));
  return { kind: 'dicom', folder: await scanDicomSources(sources, skipped, names) };
}

function pairOf(files: readonly NamedBlob[]): readonly [NamedBlob, NamedBlob] | undefined {
  if (files.length !== 2) return undefined;
  const find = (kind: RegExp): NamedBlob | undefined => files.find(({ name }) => kind.test(name));
  const [header, voxels] = [find(/\.hdr(\.gz)?$/i), find(/\.img(\.gz)?$/i)];
  return header && voxels ? [header, voxels] : undefined;
}
