import { mkdir, readdir, realpath, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';

import { LABELS } from '@aaunet/imaging';

import { writeFileAtomic, writeJsonAtomic } from '../atomic.js';
import { UNKNOWN_LABEL } from '../datasets/annotation.js';
import { writeDatasetFile } from '../datasets/dataset.js';
import { SOFTWARE } from '../version.js';
import type { ImporterOptions, ImportPlan, SkippedCase, SourceCase } from './importer.js';
import { IMPORTERS, type ImportKind } from './importers.js';
import { Exclusion } from './exclusion.js';
import { formatImportReport, type CaseReport, type ImportReport } from './report.js';
import { isZip, unpackZip } from './unpack.js';
import { CaseStore, caseNames } from './write-case.js';

export interface ImportOptions extends ImporterOptions {
  /** Data sets whose patients and scans are left out: what was trained on must not be tested on. */
  readonly exclude?: readonly string[] | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export const REPORT_FILES = ['import-report.json', 'import-report.txt'] as const;

/** What an import leaves in its folder, complete or not. */
const OWN_NAMES: readonly string[] = ['imagesTr', 'labelsTr', '.import', ...REPORT_FILES];

/**
 * Imports a data set of a known kind into `out`, in nnU-Net's raw format: every case is read, checked (geometry of image
 * and mask, values, labels), given Table I's labels and written; cases that do not fit are skipped with the reason.
 * `dataset.json` comes last, so that a folder without it is unfinished: the same call then continues where it stopped.
 *
 * @param source a folder, a zip archive of one (unpacked below `out` while it is read), or the JSON file of `pairs`
 * @returns what was found, fixed and skipped; also in import-report.json and import-report.txt
 * @throws Error of one sentence if the layout is not there, no case is usable, or `out` holds anything else
 */
export async function importDataset(
  kind: ImportKind,
  source: string,
  out: string,
  options: ImportOptions = {},
): Promise<ImportReport> {
  await checkFolders(source, out);
  if (!(await isZip(source))) return importFolder(kind, { folder: source, root: source, named: source }, out, options);
  const isNew = !(await exists(out));
  const unpacked = join(out, '.import', 'source');
  try {
    const folder = await unpackZip(source, unpacked, options.signal);
    return await importFolder(kind, { folder, root: unpacked, named: source }, out, options);
  } catch (error) {
    // People know the archive, not where it was unpacked to.
    if (error instanceof Error) error.message = error.message.replaceAll(unpacked, source);
    throw error;
  } finally {
    await rm(unpacked, { recursive: true, force: true });
    if (isNew && !(await exists(join(out, 'imagesTr')))) await rm(out, { recursive: true, force: true });
  }
}

interface SourceFolder {
  /** Where the layout begins. */
  readonly folder: string;
  /** What the report's paths are relative to. */
  readonly root: string;
  /** As the user names it: of an archive, not what it was unpacked to. */
  readonly named: string;
}

async function importFolder(
  kind: ImportKind,
  { folder: source, root, named }: SourceFolder,
  out: string,
  options: ImportOptions,
): Promise<ImportReport> {
  const importer = IMPORTERS[kind];
  const place = join(resolve(named), relative(root, source));
  const plan = await importer.plan(source, { dicom: options.dicom, place });
  if (plan === undefined) {
    throw new Error(
      `Expected ${importer.layout} in ${named} for ${importer.title}, found none; name ${(await archiveIn(source)) ?? 'its top folder'}.`,
    );
  }
  if (plan.cases.length === 0) {
    throw new Error(
      `Found the layout of ${importer.title} in ${named}, but no case in it${because(plan.skipped ?? [])}.`,
    );
  }
  const exclusion = await Exclusion.of(options.exclude ?? []);
  await mkdir(join(out, 'imagesTr'), { recursive: true });
  await mkdir(join(out, 'labelsTr'), { recursive: true });
  const store = await CaseStore.open(out, kind);
  const names = caseNames(plan.cases);
  const cases: CaseReport[] = [];
  const skipped: SkippedCase[] = [...(plan.skipped ?? [])];
  const scans = new Map<string, CaseReport>();
  for (const [index, item] of plan.cases.entries()) {
    options.signal?.throwIfAborted();
    const result = await importCase(item, names[index]!, { store, source: root, exclusion, scans });
    if ('reason' in result) skipped.push(result);
    else cases.push(result);
    options.onProgress?.(index + 1, plan.cases.length, item.name);
  }
  if (cases.length === 0) throw new Error(`No case of ${named} could be imported${because(skipped)}.`);
  await store.removeOthers(cases.map(({ name }) => name));
  const report = makeReport(kind, named, plan, cases, skipped);
  await finish(out, plan, report);
  return report;
}

/** A zip archive in a folder where nothing else was found, which may be what was meant. */
async function archiveIn(folder: string): Promise<string | undefined> {
  const found = await readdir(folder).catch((): string[] => []);
  return found.filter((name) => name.toLowerCase().endsWith('.zip')).sort()[0];
}

interface CaseContext {
  readonly store: CaseStore;
  readonly source: string;
  readonly exclusion: Exclusion;
  /** By the hash of its voxels: each scan that is there already. */
  readonly scans: Map<string, CaseReport>;
}

async function importCase(item: SourceCase, name: string, context: CaseContext): Promise<CaseReport | SkippedCase> {
  const { store, source, exclusion, scans } = context;
  try {
    const early = exclusion.reasonFor(item.lineage);
    if (early !== undefined) return { name: item.name, reason: early };
    const done = await store.importOnce(item, name, (path) => shortPath(source, path));
    const reason = exclusion.reasonFor(done.lineage, done.sha256);
    if (reason !== undefined) return { name: item.name, reason };
    const twin = scans.get(done.sha256);
    if (twin === undefined) {
      scans.set(done.sha256, done);
      return done;
    }
    const message = `The scan is voxel for voxel that of ${twin.name}; both count as one patient, so that a split keeps them together.`;
    return { ...done, patient: twin.patient, notes: [...done.notes, { level: 'warning', message }] };
  } catch (error) {
    if (isSystemError(error)) throw error;
    return {
      name: item.name,
      reason: error instanceof Error ? error.message.replaceAll(source + sep, '') : String(error),
    };
  }
}

/** A full disk or a folder without permission to write ends the import; it is no fault of the case. */
function isSystemError(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    ['ENOSPC', 'EROFS', 'EDQUOT', 'EACCES', 'EPERM'].includes(String(error.code))
  );
}

function shortPath(source: string, path: string): string {
  const inside = relative(resolve(source), resolve(path));
  return inside.startsWith('..') ? basename(path) : inside.split(sep).join('/');
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function checkFolders(source: string, out: string): Promise<void> {
  const from = await realpath(source).catch(() => {
    throw new Error(`Expected a data set at ${source}, found nothing there.`);
  });
  const isFolder = (await stat(from)).isDirectory();
  const folder = isFolder ? from : dirname(from);
  const to = resolve(await realpath(dirname(resolve(out))).catch(() => dirname(resolve(out))), basename(resolve(out)));
  // Beside the JSON file that lists pairs there may well be room for the result.
  if (to === folder || (isFolder && to.startsWith(folder + sep))) {
    throw new Error(`Expected the new data set outside of ${source}, found ${out}; name another folder.`);
  }
  const found = await readdir(out).catch((error: unknown): string[] => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  });
  if (found.includes('dataset.json')) {
    throw new Error(`${out} already holds a data set; name another folder, or remove it to import again.`);
  }
  const foreign = found.find((name) => !OWN_NAMES.includes(name));
  if (foreign !== undefined) {
    throw new Error(
      `Expected a new folder or an unfinished import, found "${foreign}" in ${out}; name another folder.`,
    );
  }
}

function because(skipped: readonly SkippedCase[]): string {
  const tally = new Map<string, number>();
  for (const { reason } of skipped) tally.set(reason, (tally.get(reason) ?? 0) + 1);
  const reasons = [...tally].sort((a, b) => b[1] - a[1]).slice(0, 2);
  if (reasons.length === 0) return '';
  return `: ${reasons.map(([reason, times]) => `${times} x ${reason.replace(/\.$/, '')}`).join('; ')}`;
}

function makeReport(
  kind: string,
  source: string,
  plan: ImportPlan,
  cases: readonly CaseReport[],
  skipped: readonly SkippedCase[],
): ImportReport {
  const { name, annotated, untyped = [], approximateHu = false, notes = [] } = plan;
  const casesWith = (id: number): number => cases.filter(({ voxels }) => (voxels[id] ?? 0) > 0).length;
  return {
    software: SOFTWARE,
    kind,
    source: basename(resolve(source)),
    name,
    annotated,
    untyped,
    approximateHu,
    patients: new Set(cases.map(({ patient }) => patient)).size,
    casesWith: Object.fromEntries([
      ...LABELS.map((label) => [label.name, casesWith(label.id)] as const),
      ['unknown type', casesWith(UNKNOWN_LABEL)],
    ]),
    notes,
    cases,
    skipped,
  };
}

/** The reports, then dataset.json, which makes the folder a data set. */
async function finish(out: string, plan: ImportPlan, report: ImportReport): Promise<void> {
  await writeJsonAtomic(join(out, REPORT_FILES[0]), report);
  await writeFileAtomic(join(out, REPORT_FILES[1]), formatImportReport(report));
  /** What some cases have, by their names; absent where none has it. */
  const ofCases = <T>(get: (one: CaseReport) => T | undefined): Record<string, T> | undefined => {
    const found = report.cases.flatMap((one) => {
      const value = get(one);
      return value === undefined ? [] : [[one.name, value] as const];
    });
    return found.length === 0 ? undefined : Object.fromEntries(found);
  };
  await writeDatasetFile(out, {
    name: plan.name,
    patients: Object.fromEntries(report.cases.map(({ name, patient }) => [name, patient])),
    annotated: plan.annotated,
    untyped: plan.untyped,
    hasUnknown: plan.hasUnknown,
    synthetic: plan.synthetic,
    approximateHu: plan.approximateHu,
    lineage: ofCases((one) => one.lineage),
    slicePositions: ofCases((one) => one.slicePositions),
    sliceExtents: ofCases((one) => one.sliceExtents),
  });
  await rm(join(out, '.import'), { recursive: true, force: true });
}
