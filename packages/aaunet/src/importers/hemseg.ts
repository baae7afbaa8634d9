import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { parseDicom, readDicomSeries, type LabelName, type Volume } from '@aaunet/imaging';
import { z } from 'zod';

import { UNKNOWN_LABEL } from '../datasets/annotation.js';
import type { Lineage } from '../datasets/dataset.js';
import { alignMask, hasNoOrientation, readInput, type NiftiInput } from '../datasets/align-mask.js';
import { listFiles, niftiFilesIn, readText, type FoundFile } from './files.js';
import {
  FIVE_TYPES,
  type ImportedCase,
  type Importer,
  type Note,
  type Notes,
  type SkippedCase,
  type SourceCase,
} from './importer.js';
import { BINARY_NOTE } from './instance22.js';
import { RSNA, rsnaLineage } from './lineage.js';
import { binaryMapping, mapLabels, readPair } from './masks.js';

/** RSNA's flat folder has 750,000 files: it is never listed, slices are opened by name. */
const DICOM_FOLDERS = /^(stage_2_train|stage_1_train|rsna.*|dicoms?)$/i;
const MAX_SLICES = 1000;
/** An RSNA id, and therefore a file name that leads nowhere else. */
const SLICE_ID = /^ID_[0-9a-f]{6,16}$/i;

const annotationSchema = z.looseObject({
  scan_: z.string().optional(),
  scan_name: z.string().optional(),
  slice_list: z.array(z.string()).max(MAX_SLICES),
});

/**
 * HemSeg-200 and HemSeg-500: binary masks of RSNA scans, without the images. Those are rebuilt from RSNA's DICOM files by
 * the list of slices of each scan, or taken from an "image" folder where someone has rebuilt them already.
 */
export const hemseg: Importer = {
  title: 'HemSeg',
  layout: 'the folders {train,val,test}/label with NIfTI masks (of IPH_IVH_label or HemSeg-500)',
  async plan(source, options) {
    const files = await listFiles(source, DICOM_FOLDERS);
    const masks = niftiFilesIn(files, /(^|\/)(train|val|test)\/labels?\/$/i);
    if (masks.size === 0) return undefined;
    const images = niftiFilesIn(files, /(^|\/)(train|val|test)\/(images?|data)\/$/i);
    const lists = await readSliceLists(files);
    const dicom = options.dicom ?? (await findDicom(source));
    if (images.size === 0 && dicom === undefined) {
      throw new Error(
        `Found HemSeg's masks in ${source}, but no images: give RSNA 2019's DICOM files with --dicom FOLDER (stage_2_train).`,
      );
    }
    const kinds = new Set([...masks.values()].map(({ path }) => sizeOf(`${options.place}/${path}`)));
    if (kinds.size > 1)
      throw new Error(`Found HemSeg-200 and HemSeg-500 in ${source}: name the folder of one of them.`);
    const isSmall = kinds.has('200');
    const untyped: readonly LabelName[] = isSmall ? ['ICH', 'IVH'] : FIVE_TYPES;
    const cases: SourceCase[] = [];
    const skipped: SkippedCase[] = [];
    for (const [name, mask] of masks) {
      const image = images.get(name);
      const slices = lists.get(name);
      const source = image ?? (slices && dicom !== undefined ? { dicom, slices } : undefined);
      if (source === undefined)
        skipped.push({ name, reason: 'There is neither an image nor a list of slices for it.' });
      else cases.push(caseOf(name, mask, source));
    }
    const note: Note = {
      level: 'found',
      message: 'The folders train, val and test were put together; write splits.json to use them.',
    };
    return {
      name: isSmall ? 'HemSeg-200' : 'HemSeg-500',
      annotated: [],
      untyped,
      hasUnknown: true,
      cases,
      skipped,
      notes: [BINARY_NOTE, note],
    };
  },
};

/** Which of the two data sets a mask belongs to, by the deepest name in its path that says so. */
function sizeOf(path: string): '200' | '500' {
  const name = /.*(IPH_IVH|HemSeg-?200|HemSeg-?500)/is.exec(path)?.[1];
  return name === undefined || name.endsWith('500') ? '500' : '200';
}

interface DicomSource {
  readonly dicom: string;
  readonly slices: readonly string[];
}

function caseOf(name: string, mask: FoundFile, source: FoundFile | DicomSource): SourceCase {
  const known = { name, patient: `hemseg:${name}`, lineage: rsnaLineage(name) };
  if ('absolute' in source) {
    return {
      ...known,
      files: [source.absolute, mask.absolute],
      read: (notes) => readPair(source.absolute, mask.absolute, binaryMapping(UNKNOWN_LABEL), notes),
    };
  }
  return { ...known, files: [mask.absolute], settings: source, read: (notes) => readFromDicom(mask, source, notes) };
}

async function findDicom(source: string): Promise<string | undefined> {
  for (const name of ['stage_2_train', 'dicom', 'dicoms', 'rsna']) {
    const folder = join(source, name);
    const isFolder = await stat(folder).then(
      (status) => status.isDirectory(),
      () => false,
    );
    if (isFolder) return folder;
  }
  return undefined;
}

/** Scan to its slices, from every annotion_file_info*.jsonl (so spelt) there is. */
async function readSliceLists(files: readonly FoundFile[]): Promise<Map<string, readonly string[]>> {
  const lists = new Map<string, readonly string[]>();
  for (const { absolute, path } of files.filter((file) => /annot[a-z]*_file_info[^/]*\.jsonl$/i.test(file.path))) {
    for (const [index, line] of (await readText(absolute)).split('\n').entries()) {
      if (line.trim() === '') continue;
      const entry = annotationSchema.safeParse(parseJson(line));
      const name = entry.data?.scan_name ?? entry.data?.scan_;
      if (!entry.success || name === undefined) {
        throw new Error(`Expected "scan_name" and "slice_list" in line ${index + 1} of ${path}, found something else.`);
      }
      const ids = entry.data.slice_list.map((slice) => slice.replace(/^.*[\\/]/, '').replace(/\.\w+$/, ''));
      lists.set(name.replace(/\.nii(\.gz)?$/, ''), ids);
    }
  }
  return lists;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function readFromDicom(mask: FoundFile, { dicom, slices }: DicomSource, notes: Notes): Promise<ImportedCase> {
  const foreign = slices.find((id) => !SLICE_ID.test(id));
  if (foreign !== undefined) throw new Error(`Expected RSNA ids as slices, found "${foreign.slice(0, 40)}".`);
  const files: { name: string; bytes: Uint8Array }[] = [];
  for (const id of slices) {
    const bytes = await readFile(join(dicom, `${id}.dcm`)).catch((error: unknown) => {
      throw new Error(`Expected the slice ${id}.dcm in the folder of RSNA's DICOM files, found none.`, {
        cause: error,
      });
    });
    files.push({ name: id, bytes });
  }
  const { volume, series, skipped } = await readDicomSeries(files);
  if (volume.slices !== slices.length) {
    const reason = skipped[0] ? ` (${skipped[0].file}: ${skipped[0].reason})` : '';
    throw new Error(`Expected ${slices.length} slices of one series, found ${volume.slices}${reason}.`);
  }
  for (const { message } of series.problems) notes.add('warning', `image: ${message}`);
  const marks = await readInput(mask.absolute, 'mask', notes);
  const order = series.slices.map(({ file }) => slices.indexOf(file));
  const aligned = placeMask(volume, marks, order, notes);
  return {
    image: volume,
    labels: mapLabels(aligned, binaryMapping(UNKNOWN_LABEL)),
    lineage: lineageOf(files[0]!.bytes),
  };
}

/** By the mask's own geometry where that fits the image's, else slice by slice as the list has them. */
function placeMask(image: Volume, mask: NiftiInput, order: readonly number[], notes: Notes): Volume {
  if (!hasNoOrientation(mask)) {
    try {
      return alignMask({ volume: image, affineFrom: 'sform' }, mask, notes).mask;
    } catch {
      notes.add('warning', "The mask's geometry is not the image's.");
    }
  }
  const { columns, rows, slices } = mask.volume;
  if (columns !== image.columns || rows !== image.rows || slices !== image.slices) {
    throw new Error(
      `Expected a mask of ${image.columns} x ${image.rows} x ${image.slices} voxels like its slices, found ${columns} x ${rows} x ${slices}.`,
    );
  }
  notes.add('fixed', 'The mask was laid on the slices in the order of their list.');
  const size = rows * columns;
  const data = mask.volume.data.slice();
  order.forEach((from, k) => {
    data.set(mask.volume.data.subarray(from * size, (from + 1) * size), k * size);
  });
  return { ...mask.volume, data };
}

function lineageOf(bytes: Uint8Array): Lineage {
  const { dataset } = parseDicom(bytes);
  const [patient, study] = [dataset.text(0x00100020), dataset.text(0x0020000d)].map((id) => id?.slice(0, 128));
  return { source: RSNA, ...(patient !== undefined && { patient }), ...(study !== undefined && { study }) };
}
