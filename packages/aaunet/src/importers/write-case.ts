import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { CLASS_COUNT, spacingOf, tiltDegrees, valueRange, type Volume } from '@aaunet/imaging';
import { writeNiftiFile } from '@aaunet/imaging/node';
import { z } from 'zod';

import { writeJsonAtomic } from '../atomic.js';
import { imagePath, labelPath } from '../datasets/dataset.js';
import { readJson } from '../schema-errors.js';
import { checkExtent, checkHu } from './hounsfield.js';
import { Notes, type ImportedCase, type SourceCase } from './importer.js';
import type { ImportKind } from './importers.js';
import { caseReportSchema, type CaseReport } from './report.js';

/** Changes when what is written for a case does, so that an older half-done import is not continued. */
const FORMAT = 'aaunet-import-4';

const recordSchema = z.strictObject({ format: z.literal(FORMAT), inputs: z.string(), report: caseReportSchema });

/** Case names for a data set: letters, digits and dashes, none twice. */
export function caseNames(cases: readonly SourceCase[]): string[] {
  const used = new Set<string>();
  return cases.map(({ name }) => {
    const clean = name
      .replaceAll(/[^A-Za-z0-9._+-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
      .replace(/_0000$/, '')
      .slice(0, 100);
    const stem = clean === '' ? 'case' : clean;
    let free = stem;
    // Compared without case: on some systems a.nii and A.nii are one file.
    for (let number = 2; used.has(free.toLowerCase()); number++) free = `${stem}-${number}`;
    used.add(free.toLowerCase());
    return free;
  });
}

/** The cases of an import in progress: each is written once, and known again when the import is continued. */
export class CaseStore {
  private constructor(
    private readonly out: string,
    private readonly kind: ImportKind,
  ) {}

  static async open(out: string, kind: ImportKind): Promise<CaseStore> {
    await mkdir(join(out, '.import'), { recursive: true });
    return new CaseStore(out, kind);
  }

  /** Reads, checks and writes a case, unless an earlier import did so from the same files under the same settings. */
  async importOnce(item: SourceCase, name: string, shortPath: (path: string) => string): Promise<CaseReport> {
    const inputs = await fingerprint(this.kind, item);
    const record = join(this.out, '.import', `${name}.json`);
    const before = await readJson(record, recordSchema).catch(() => undefined);
    if (before?.inputs === inputs) return before.report;
    const notes = new Notes();
    const found = await item.read(notes);
    const image = checkHu(found.image, notes);
    checkExtent(image, notes);
    checkSizes(image, found.labels);
    const report = describe(item, name, { ...found, image }, notes, item.files.map(shortPath));
    await writeNiftiFile(imagePath(this.out, name), image);
    await writeNiftiFile(labelPath(this.out, name), { ...found.labels, affine: image.affine });
    await writeJsonAtomic(record, { format: FORMAT, inputs, report });
    return report;
  }

  /** Removes images and label maps of other cases, which an interrupted import of a changed source left behind. */
  async removeOthers(names: readonly string[]): Promise<void> {
    const kept = new Set(names.flatMap((name) => [imagePath(this.out, name), labelPath(this.out, name)]));
    for (const folder of ['imagesTr', 'labelsTr'] as const) {
      for (const file of await readdir(join(this.out, folder))) {
        const path = join(this.out, folder, file);
        if (!kept.has(path)) await rm(path, { recursive: true, force: true });
      }
    }
  }
}

async function fingerprint(kind: ImportKind, { files, patient, lineage, settings }: SourceCase): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([kind, patient, lineage, settings]));
  for (const file of files) {
    const { size, mtimeMs } = await stat(file);
    hash.update(`${file} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

function checkSizes(image: Volume, labels: Volume): void {
  const [wanted, found] = [image, labels].map(({ columns, rows, slices }) => `${columns} x ${rows} x ${slices}`);
  if (wanted !== found) throw new Error(`Expected a mask of ${wanted} voxels like its image, found ${found}.`);
}

function describe(
  item: SourceCase,
  name: string,
  found: ImportedCase & { readonly image: Volume<Int16Array> },
  notes: Notes,
  files: string[],
): CaseReport {
  const { image, labels } = found;
  const voxels = new Array<number>(CLASS_COUNT + 1).fill(0);
  for (const label of labels.data) voxels[label]!++;
  if (voxels.slice(1).every((count) => count === 0)) notes.add('found', 'The mask is empty.');
  const { min, max } = valueRange(image);
  const { data, slices, rows, columns, affine, positions, extents } = image;
  const lineage = found.lineage ?? item.lineage;
  const tilt = tiltDegrees(affine);
  return {
    name,
    patient: patientOf(item, lineage),
    ...(lineage !== undefined && { lineage }),
    files,
    size: [columns, rows, slices],
    spacing: spacingOf(affine).map((value) => Number(value.toFixed(4))),
    ...(tilt > 0.1 && { tiltDegrees: Number(tilt.toFixed(2)) }),
    ...(positions && { slicePositions: positions.map(([x, y, z]): [number, number, number] => [x, y, z]) }),
    ...(extents && { sliceExtents: [...extents] }),
    hu: { min, max },
    voxels,
    sha256: createHash('sha256')
      .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
      .digest('hex'),
    notes: [...notes.all],
  };
}

/** One person has one name, whichever data set the scan came through. */
function patientOf({ patient }: SourceCase, lineage: CaseReport['lineage']): string {
  return (lineage?.patient === undefined ? patient : `${lineage.source}:${lineage.patient}`).slice(0, 128);
}
