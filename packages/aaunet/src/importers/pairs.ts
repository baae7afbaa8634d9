import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { LABELS, placeSegmentation, readDicomSegmentation, type DicomSegment, type Volume } from '@aaunet/imaging';
import { isPairedName, readVolume, type ReadVolume } from '@aaunet/imaging/node';

import { UNKNOWN_LABEL, UNKNOWN_NAME } from '../datasets/annotation.js';
import { readJson } from '../schema-errors.js';
import { alignMask, readInput, type NiftiInput } from '../datasets/align-mask.js';
import { listFiles, niftiStem } from './files.js';
import type { ImportedCase, Importer, Notes } from './importer.js';
import { cq500Lineage, rsnaLineage } from './lineage.js';
import { mapLabels, valueMapping } from './masks.js';
import { pairsSchema, type Pair, type PairsFile } from './pairs-file.js';

const MAX_SEG_BYTES = 2 ** 29;

/** Any pairs of image and mask, which a small JSON file lists (`pairs.json`, or the file that is named as source). */
export const pairs: Importer = {
  title: 'pairs of images and masks',
  layout: 'a file pairs.json',
  async plan(source) {
    const isFile = (await stat(source)).isFile();
    const path = isFile ? source : join(source, 'pairs.json');
    const isThere = await stat(path).then(
      () => true,
      () => false,
    );
    if (!isThere) return undefined;
    const file = await readJson(path, pairsSchema);
    const folder = dirname(path);
    const listed = [...file.pairs, ...(await matched(folder, file))];
    if (listed.length === 0) throw new Error(`Expected "pairs" or a "match" that finds some in ${path}, found none.`);
    const marked = LABELS.map(({ name }) => name).filter((name) => Object.values(file.labels).includes(name));
    const hasUnknown = Object.values(file.labels).includes(UNKNOWN_NAME) || file.untyped !== undefined;
    return {
      name: file.name,
      annotated: file.annotated ?? marked,
      untyped: file.untyped,
      // Overlapping segments of a DICOM SEG have no one type either.
      hasUnknown: hasUnknown || listed.some(({ mask }) => isSegmentation(mask)),
      synthetic: file.synthetic,
      cases: await Promise.all(listed.map((pair) => caseOf(folder, pair, file))),
    };
  },
};

const isSegmentation = (path: string): boolean => niftiStem(path) === undefined && !isPairedName(path);

async function caseOf(folder: string, pair: Pair, file: PairsFile) {
  const [image, mask] = [join(folder, pair.image), join(folder, pair.mask)];
  const name = pair.case ?? niftiStem(pair.image) ?? basename(pair.image);
  const isFolder = await stat(image).then(
    (status) => status.isDirectory(),
    () => false,
  );
  return {
    name,
    patient: pair.patient ?? name,
    lineage: rsnaLineage(name) ?? cq500Lineage(name),
    settings: { labels: file.labels, hu: file.hu, series: pair.series },
    files: isFolder ? [...(await listFiles(image)).map(({ absolute }) => absolute), mask] : [image, mask],
    read: (notes: Notes) => readListed(image, mask, { pair, file }, notes),
  };
}

/** The pairs that the two templates find, by what stands for {case}. */
async function matched(folder: string, { match }: PairsFile): Promise<Pair[]> {
  if (match === undefined) return [];
  const paths = (await listFiles(folder)).map(({ path }) => path);
  const find = (template: string): Map<string, string> => {
    const [before, after] = template.split('{case}');
    if (before === undefined || after === undefined) {
      throw new Error(`Expected {case} once in the "match" path "${template}", found it not.`);
    }
    const found = new Map<string, string>();
    for (const path of paths) {
      // A template may name a folder: then any file in it will do.
      const rest = path.startsWith(before) ? path.slice(before.length) : undefined;
      const end = rest === undefined ? -1 : after === '' ? rest.search(/\/|$/) : rest.indexOf(after);
      const name = rest?.slice(0, Math.max(0, end));
      if (name === undefined || name === '' || name.includes('/')) continue;
      const whole = `${before}${name}${after}`;
      if (path === whole || path.startsWith(`${whole.replace(/\/$/, '')}/`)) found.set(name, whole);
    }
    return found;
  };
  const [images, masks] = [find(match.image), find(match.mask)];
  return [...images].flatMap(([name, image]) => {
    const mask = masks.get(name);
    return mask === undefined ? [] : [{ image, mask, case: name }];
  });
}

async function readListed(
  image: string,
  mask: string,
  { pair, file }: { pair: Pair; file: PairsFile },
  notes: Notes,
): Promise<ImportedCase> {
  const read = await readVolume(image, pair.series === undefined ? {} : { seriesUid: pair.series });
  const problems = read.source === 'nifti' ? read.header.problems : read.series.problems;
  for (const { message } of problems) notes.add('warning', `image: ${message}`);
  if (read.volume.positions !== undefined) {
    notes.add('found', 'Slices are unevenly spaced, which NIfTI cannot hold: their positions stand in dataset.json.');
  }
  const scan: NiftiInput = {
    volume: read.volume,
    affineFrom: read.source === 'nifti' ? read.header.affineFrom : 'sform',
  };
  if (isSegmentation(mask)) {
    const labels = await readSegments(mask, read.volume, file, notes);
    return { image: toHu(read, file), labels };
  }
  const aligned = alignMask(scan, await readInput(mask, 'mask', notes), notes);
  const labels = mapLabels(aligned.mask, numbersOf(file));
  return { image: toHu({ ...read, volume: aligned.image }, file), labels };
}

function labelNumber(name: PairsFile['labels'][string]): number {
  if (name === 'background') return 0;
  return name === UNKNOWN_NAME ? UNKNOWN_LABEL : LABELS.find((label) => label.name === name)!.id;
}

function numbersOf({ labels }: PairsFile) {
  const entries = Object.entries(labels).map(([value, name]) => [Number(value), labelNumber(name)] as const);
  const foreign = Object.keys(labels).find((value) => !Number.isInteger(Number(value)));
  if (foreign !== undefined) {
    throw new Error(`Expected whole numbers as values of a NIfTI mask in "labels", found "${foreign}".`);
  }
  return valueMapping(Object.fromEntries(entries));
}

async function readSegments(path: string, scan: Volume, file: PairsFile, notes: Notes): Promise<Volume<Uint8Array>> {
  const { size } = await stat(path);
  if (size > MAX_SEG_BYTES) throw new Error(`Expected a DICOM SEG of up to ${MAX_SEG_BYTES} bytes, found ${size}.`);
  const segmentation = readDicomSegmentation(await readFile(path));
  const byName = new Map(
    Object.entries(file.labels).map(([key, name]) => [key.trim().toLowerCase(), labelNumber(name)]),
  );
  const unmapped: string[] = [];
  const labelOf = ({ number, label }: DicomSegment): number | undefined => {
    const found = byName.get(String(number)) ?? byName.get(label.trim().toLowerCase());
    if (found === undefined) unmapped.push(`${number} (${label})`);
    return found;
  };
  const { labels, overlaps, empty } = placeSegmentation(segmentation, scan, labelOf, UNKNOWN_LABEL);
  if (unmapped.length > 0) {
    throw new Error(
      `Expected every segment in "labels", found ${unmapped.slice(0, 8).join(', ')}: map it, if to "background".`,
    );
  }
  if (overlaps > 0) {
    notes.add('warning', `${overlaps} voxels belong to segments of different types; their type counts as unknown.`);
  }
  if (empty.length > 0) notes.add('found', `Segments without a voxel: ${empty.map(({ label }) => label).join(', ')}.`);
  return labels;
}

/** DICOM says its own slope and intercept, which reading has used. */
function toHu({ source, volume }: Pick<ReadVolume, 'source' | 'volume'>, { hu }: PairsFile): Volume {
  if (source === 'dicom' || hu === undefined || (hu.slope === 1 && hu.intercept === 0)) return volume;
  return { ...volume, data: Float64Array.from(volume.data, (value) => value * hu.slope + hu.intercept) };
}
