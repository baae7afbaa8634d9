import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { LABELS, type LabelName } from '@aaunet/imaging';
import { z } from 'zod';
import { writeJsonAtomic } from '../atomic.js';
import { readJson } from '../schema-errors.js';
import { typeIds, UNKNOWN_LABEL, UNKNOWN_NAME, type Annotation } from './annotation.js';

const FILE_ENDING = '.nii.gz';

/** A case is also a file name on every system, so it can lead out of no folder. */
const CASE_NAME = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$/;

const labelNames = LABELS.map(({ name }) => name) as [LabelName, ...LabelName[]];
const nameSchema = z
  .string()
  .regex(CASE_NAME, 'expected letters, digits, ".", "_", "+" or "-", starting with a letter or digit');

/** Where a case comes from, as far as its ids say: what tells that two data sets hold the same scan. */
export const lineageSchema = z.strictObject({
  /** The collection that the ids belong to, such as "rsna-2019". */
  source: z.string().min(1).max(64),
  patient: z.string().min(1).max(128).optional(),
  study: z.string().min(1).max(128).optional(),
});

export type Lineage = z.output<typeof lineageSchema>;

/** Of cases with uneven slices: the place of each slice's first voxel, and the extent that it stands for. */
export const slicePlacesSchema = z.object({
  slicePositions: z.record(nameSchema, z.array(z.tuple([z.number(), z.number(), z.number()])).min(1)).optional(),
  sliceExtents: z.record(nameSchema, z.array(z.number().positive()).min(1)).optional(),
});

/** dataset.json: nnU-Net v2's keys (others of its keys are kept out of our way) and ours. */
const datasetFileSchema = z.looseObject({
  name: z.string().optional(),
  channel_names: z
    .record(z.string(), z.string())
    .refine((names) => Object.keys(names).join() === '0', 'expected exactly one channel, "0": "CT"'),
  labels: z.record(z.string(), z.int()),
  numTraining: z.int().nonnegative(),
  file_ending: z.literal(FILE_ENDING),
  patients: z.record(nameSchema, z.string().min(1).max(128)).optional(),
  annotated: z.array(z.enum(labelNames)).optional(),
  untyped: z.array(z.enum(labelNames)).optional(),
  lineage: z.record(nameSchema, lineageSchema).optional(),
  synthetic: z.boolean().optional(),
  approximateHu: z.boolean().optional(),
  ...slicePlacesSchema.shape,
});

/** Where the slices of a case lie, as far as an affine cannot say it. */
export interface SlicePlaces {
  /** Where slices are uneven: the place of each slice's first voxel as the file stores them (LPS+, mm). */
  readonly slicePositions?: readonly (readonly [number, number, number])[] | undefined;
  /** The extent along the normal that each of them stands for, mm; from the positions, without gaps, where absent. */
  readonly sliceExtents?: readonly number[] | undefined;
}

/** One image and its label map. */
export interface DatasetCase extends SlicePlaces {
  readonly name: string;
  /** Path of the image (int16 HU, NIfTI). */
  readonly image: string;
  /** Path of the label map (uint8, NIfTI). */
  readonly label: string;
  /** Who was scanned: cases of one patient never lie in different parts of a split. */
  readonly patient: string;
  readonly lineage?: Lineage | undefined;
}

/** A data set in nnU-Net v2's raw format. */
export interface Dataset extends Annotation {
  readonly folder: string;
  readonly name: string;
  readonly cases: readonly DatasetCase[];
  /** Numbers that its label maps may hold besides 0, as dataset.json lists them. */
  readonly labels: readonly number[];
  /** True for phantoms. */
  readonly synthetic: boolean;
  /** True where HU were computed from pictures of a display window, so that they are off and cut off outside of it. */
  readonly approximateHu: boolean;
}

/** What `writeDatasetFile` needs beside the files themselves. */
export interface DatasetDescription {
  readonly name: string;
  /** Case to patient. */
  readonly patients: Readonly<Record<string, string>>;
  /** Types that the data set marks at all; the others are "not annotated", never "negative". */
  readonly annotated: readonly LabelName[];
  /** Types that a voxel labelled 8 ("ignore") may be; none: it may be anything. */
  readonly untyped?: readonly LabelName[] | undefined;
  /** Whether the label maps hold the label 8. */
  readonly hasUnknown?: boolean | undefined;
  /** Case to where it comes from. */
  readonly lineage?: Readonly<Record<string, Lineage>> | undefined;
  readonly synthetic?: boolean | undefined;
  readonly approximateHu?: boolean | undefined;
  readonly description?: string | undefined;
  /** Cases with uneven slices: the place of each slice's first voxel (LPS+, mm). */
  readonly slicePositions?: Readonly<Record<string, NonNullable<SlicePlaces['slicePositions']>>> | undefined;
  /** The extent that each of these slices stands for (mm). */
  readonly sliceExtents?: Readonly<Record<string, NonNullable<SlicePlaces['sliceExtents']>>> | undefined;
}

/** Path of a case's image in a data set folder. @throws Error if the name could lead out of the folder. */
export function imagePath(folder: string, name: string): string {
  return join(folder, 'imagesTr', `${checkCaseName(name)}_0000${FILE_ENDING}`);
}

/** Path of a case's label map in a data set folder. @throws Error if the name could lead out of the folder. */
export function labelPath(folder: string, name: string): string {
  return join(folder, 'labelsTr', `${checkCaseName(name)}${FILE_ENDING}`);
}

function checkCaseName(name: string): string {
  if (!CASE_NAME.test(name)) {
    throw new Error(`Expected a case name of letters, digits, ".", "_", "+" and "-", found ${JSON.stringify(name)}.`);
  }
  return name;
}

async function listFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    throw new Error(`Expected a folder ${folder} as in nnU-Net's raw format, but it cannot be read.`, { cause: error });
  }
}

const KNOWN_LABELS: ReadonlyMap<string, number> = new Map([
  ['background', 0],
  ...LABELS.map(({ name, id }) => [name, id] as const),
  [UNKNOWN_NAME, UNKNOWN_LABEL],
]);

/** nnU-Net numbers labels freely; ours are fixed, and a silent mix-up would train on the wrong types. */
function checkLabels(labels: Readonly<Record<string, number>>, path: string): LabelName[] {
  for (const [name, id] of Object.entries(labels)) {
    const expected = KNOWN_LABELS.get(name);
    if (expected !== id) {
      const known = [...KNOWN_LABELS].map(([label, number]) => `${label} ${number}`).join(', ');
      throw new Error(`Expected labels among ${known} in ${path}, found ${name} ${id}; renumber the label maps first.`);
    }
  }
  return LABELS.map(({ name }) => name).filter((name) => name in labels);
}

/**
 * Reads and checks `dataset.json` of a folder in nnU-Net v2's raw format and lists its cases in name order.
 *
 * @throws Error of one sentence if a key, a file or a case does not fit.
 */
export async function readDataset(folder: string): Promise<Dataset> {
  const path = join(folder, 'dataset.json');
  const file = await readJson(path, datasetFileSchema);
  const labels = checkLabels(file.labels, path);
  const foreign = file.annotated?.find((name) => !labels.includes(name));
  if (foreign) throw new Error(`${path} calls ${foreign} annotated, but its "labels" do not list it; add it there.`);
  const hasUnknown = UNKNOWN_NAME in file.labels;
  if (file.untyped && !hasUnknown) {
    throw new Error(
      `${path} has "untyped", but its "labels" do not list "${UNKNOWN_NAME}" as ${UNKNOWN_LABEL}; add it there.`,
    );
  }

  const images = await listFolder(join(folder, 'imagesTr'));
  const labelFiles = new Set(await listFolder(join(folder, 'labelsTr')));
  const ending = `_0000${FILE_ENDING}`;
  const names = images
    .filter((name) => name.endsWith(ending) && !name.startsWith('.'))
    .map((name) => checkCaseName(name.slice(0, -ending.length)))
    .sort();
  if (names.length === 0)
    throw new Error(`Expected images named CASE${ending} in ${join(folder, 'imagesTr')}, found none.`);
  if (names.length !== file.numTraining) {
    throw new Error(
      `Expected ${file.numTraining} cases as "numTraining" in ${path} says, found ${names.length} images.`,
    );
  }
  const unlabelled = names.find((name) => !labelFiles.has(`${name}${FILE_ENDING}`));
  if (unlabelled)
    throw new Error(`Expected a label map ${labelPath(folder, unlabelled)} beside the image, found none.`);

  const { patients, lineage } = file;
  const known = new Set(names);
  if (patients) {
    const stranger = Object.keys(patients).find((name) => !known.has(name));
    if (stranger) throw new Error(`"patients" in ${path} names the case ${stranger}, which has no image; remove it.`);
    const orphan = names.find((name) => !Object.hasOwn(patients, name));
    if (orphan) throw new Error(`"patients" in ${path} names no patient for the case ${orphan}; add one.`);
  }
  return {
    folder,
    name: file.name ?? resolve(folder).split(/[\\/]/).at(-1) ?? 'data',
    cases: names.map((name) => ({
      name,
      image: imagePath(folder, name),
      label: labelPath(folder, name),
      patient: patients?.[name] ?? name,
      ...(file.slicePositions?.[name] && { slicePositions: file.slicePositions[name] }),
      ...(file.sliceExtents?.[name] && { sliceExtents: file.sliceExtents[name] }),
      ...(lineage && Object.hasOwn(lineage, name) && { lineage: lineage[name] }),
    })),
    labels: [...typeIds(labels), ...(hasUnknown ? [UNKNOWN_LABEL] : [])],
    annotated: LABELS.map(({ name }) => name).filter((name) => (file.annotated ?? labels).includes(name)),
    untyped: LABELS.map(({ name }) => name).filter((name) => file.untyped?.includes(name)),
    hasUnknown,
    synthetic: file.synthetic ?? false,
    approximateHu: file.approximateHu ?? false,
  };
}

/** Writes `dataset.json` (nnU-Net v2's keys and ours) for the cases named in `patients`, atomically. */
export async function writeDatasetFile(folder: string, description: DatasetDescription): Promise<void> {
  const { name, patients, annotated, untyped = [], lineage, synthetic, approximateHu } = description;
  const { description: text, slicePositions, sliceExtents } = description;
  Object.keys(patients).forEach(checkCaseName);
  await writeJsonAtomic(join(folder, 'dataset.json'), {
    name,
    ...(text === undefined ? {} : { description: text }),
    channel_names: { 0: 'CT' },
    labels: Object.fromEntries([...KNOWN_LABELS].filter(([label]) => label !== UNKNOWN_NAME || description.hasUnknown)),
    numTraining: Object.keys(patients).length,
    file_ending: FILE_ENDING,
    annotated,
    ...(untyped.length > 0 && { untyped }),
    patients,
    ...(lineage === undefined ? {} : { lineage }),
    ...(synthetic === undefined ? {} : { synthetic }),
    ...(approximateHu === undefined ? {} : { approximateHu }),
    ...(slicePositions === undefined ? {} : { slicePositions }),
    ...(sliceExtents === undefined ? {} : { sliceExtents }),
  });
}
