import { basename } from 'node:path';

import { LABELS, type LabelName, type Volume } from '@aaunet/imaging';

import { UNKNOWN_LABEL } from '../datasets/annotation.js';
import { unmatched } from './bhsd.js';
import { filesOf, findPictureScans, readPictureScan } from './ct-ich-pictures.js';
import { listFiles, niftiFilesIn, parseCsv, readText, type FoundFile } from './files.js';
import { FIVE_TYPES, type ImportedCase, type Importer, type Notes, type SkippedCase } from './importer.js';
import { binaryMapping, readPair } from './masks.js';

/** Columns of the diagnosis table and the types they stand for. */
const COLUMNS: readonly (readonly [column: string, type: LabelName])[] = [
  ['intraventricular', 'IVH'],
  ['intraparenchymal', 'ICH'],
  ['subarachnoid', 'SAH'],
  ['epidural', 'EDH'],
  ['subdural', 'SDH'],
];

/** By slice number (from 1): the labels that the table gives the slice. */
type Diagnoses = ReadonlyMap<number, readonly number[]>;

/** A scan with a binary mask, and the number that the table gives each of its slices. */
interface MaskedScan {
  readonly name: string;
  readonly files: readonly string[];
  readonly read: (notes: Notes) => Promise<ImportedCase & { readonly numbers?: readonly number[] }>;
}

/**
 * PhysioNet CT-ICH (Hssayeni et al. 2020): binary masks, and a table that names the types in each slice. A slice with one
 * type has its voxels named; where it has several, or none, they are blood of unknown type. Release 1.3 and later are NIfTI;
 * earlier ones are pictures in display windows, whose HU are approximate.
 */
export const ctIch: Importer = {
  title: 'PhysioNet CT-ICH',
  layout:
    'the folders "ct_scans" and "masks" (or, of releases before 1.3, Patients_CT/NNN/brain and bone) and the table hemorrhage_diagnosis*.csv',
  async plan(source) {
    const files = await listFiles(source);
    const [images, masks] = [niftiFilesIn(files, /(^|\/)ct_scans\/$/i), niftiFilesIn(files, /(^|\/)masks\/$/i)];
    const isNifti = images.size > 0 && masks.size > 0;
    const scans = isNifti ? niftiScans(images, masks) : pictureScans(files);
    if (scans.length === 0) return undefined;
    const table = files.find(({ path }) => /hemorrhage_diagnosis[^/]*\.csv$/i.test(path));
    if (table === undefined) {
      throw new Error(
        `Expected hemorrhage_diagnosis*.csv beside the scans in ${source}, found none; without it no type is known.`,
      );
    }
    const diagnoses = readDiagnoses(await readText(table.absolute), table.path);
    const skipped: readonly SkippedCase[] = isNifti ? unmatched(images, masks) : [];
    return {
      name: 'PhysioNet CT-ICH',
      annotated: FIVE_TYPES,
      untyped: FIVE_TYPES,
      hasUnknown: true,
      ...(!isNifti && { approximateHu: true }),
      cases: scans.map(({ name, files: own, read }) => ({
        name: `CTICH_${name}`,
        patient: `ct-ich:${Number(name) || name}`,
        files: [...own, table.absolute],
        read: async (notes: Notes) => {
          const { image, labels, numbers } = await read(notes);
          return { image, labels: nameTypes(labels, diagnoses.get(Number(name)), notes, numbers) };
        },
      })),
      skipped,
      notes: [{ level: 'found', message: `Types of slices are from ${basename(table.path)}.` }],
    };
  },
};

function niftiScans(images: ReadonlyMap<string, FoundFile>, masks: ReadonlyMap<string, FoundFile>): MaskedScan[] {
  return [...images].flatMap(([name, image]) => {
    const mask = masks.get(name);
    if (mask === undefined) return [];
    const files = [image.absolute, mask.absolute];
    return [{ name, files, read: readPair.bind(undefined, image.absolute, mask.absolute, binaryMapping(1)) }];
  });
}

function pictureScans(files: readonly FoundFile[]): MaskedScan[] {
  return [...findPictureScans(files)].map(([name, scan]) => ({
    name,
    files: filesOf(scan),
    read: async (notes) => ({ ...(await readPictureScan(scan, notes)), numbers: [...scan.keys()] }),
  }));
}

/** Patient to slice to labels. @throws Error where the table lacks a column */
function readDiagnoses(text: string, path: string): Map<number, Map<number, readonly number[]>> {
  const rows = parseCsv(text);
  for (const column of ['patientnumber', 'slicenumber', ...COLUMNS.map(([name]) => name)]) {
    if (rows[0] && !(column in rows[0])) {
      throw new Error(`Expected a column "${column}" in ${path}, found ${Object.keys(rows[0]).join(', ')}.`);
    }
  }
  const patients = new Map<number, Map<number, readonly number[]>>();
  for (const row of rows) {
    const [patient, slice] = [Number(row['patientnumber']), Number(row['slicenumber'])];
    const types = COLUMNS.filter(([column]) => Number(row[column]) === 1).map(([, name]) => name);
    const slices = patients.get(patient) ?? new Map<number, readonly number[]>();
    patients.set(patient, slices);
    slices.set(
      slice,
      LABELS.filter(({ name }) => types.includes(name)).map(({ id }) => id),
    );
  }
  return patients;
}

/**
 * Gives the voxels of each slice its one type, or the unknown one.
 *
 * @param numbers the table's number of each slice; NIfTI's slices are counted from 1 in the order of the file
 */
function nameTypes(
  labels: Volume<Uint8Array>,
  diagnoses: Diagnoses = new Map(),
  notes: Notes,
  numbers: readonly number[] = Array.from({ length: labels.slices }, (_, k) => k + 1),
): Volume<Uint8Array> {
  const size = labels.rows * labels.columns;
  const data = labels.data.slice();
  const tally = { several: 0, none: 0, empty: 0 };
  for (let k = 0; k < labels.slices; k++) {
    const slice = data.subarray(k * size, (k + 1) * size);
    const types = diagnoses.get(numbers[k]!) ?? [];
    const isMarked = slice.some((label) => label !== 0);
    if (!isMarked) {
      if (types.length > 0) tally.empty++;
      continue;
    }
    if (types.length !== 1) tally[types.length === 0 ? 'none' : 'several']++;
    const label = types.length === 1 ? types[0]! : UNKNOWN_LABEL;
    for (let index = 0; index < size; index++) if (slice[index] !== 0) slice[index] = label;
  }
  const unlisted = numbers.filter((number) => !diagnoses.has(number)).length;
  const absent = [...diagnoses.keys()].filter((number) => !numbers.includes(number)).length;
  if (diagnoses.size === 0) notes.add('warning', 'The table does not list this patient: no type is known.');
  else if (unlisted + absent > 0) {
    notes.add(
      'warning',
      `The table lists ${diagnoses.size} slices, the scan has ${labels.slices}: ${unlisted} are not in the table, ${absent} not in the scan.`,
    );
  }
  if (tally.several > 0) {
    notes.add('found', `Slices with blood of several types, which the mask does not tell apart: ${tally.several}.`);
  }
  if (tally.none > 0) notes.add('warning', `Slices with blood in the mask, but no type in the table: ${tally.none}.`);
  if (tally.empty > 0)
    notes.add('warning', `Slices with a type in the table, but no blood in the mask: ${tally.empty}.`);
  return { ...labels, data };
}
