import type { LabelName, Volume } from '@aaunet/imaging';

import type { Lineage } from '../datasets/dataset.js';

/** Something that the person who imports should know about a case or the whole data set. */
export interface Note {
  /** found: as it is; fixed: changed, as the message says; warning: left as it is, but doubtful. */
  readonly level: 'found' | 'fixed' | 'warning';
  readonly message: string;
}

/** Takes notes while a case is read. */
export class Notes {
  readonly all: Note[] = [];

  add(level: Note['level'], message: string): void {
    this.all.push({ level, message });
  }
}

/** A scan and its labels in one geometry: Table I's numbers, 8 where the type is not known. */
export interface ImportedCase {
  /** Values as stored: checked to be HU later, for all kinds alike. */
  readonly image: Volume;
  readonly labels: Volume<Uint8Array>;
  /** Known only once the case was read (from DICOM headers, say). */
  readonly lineage?: Lineage | undefined;
}

/** A case as found on disk, not yet read. */
export interface SourceCase {
  /** As the source calls it; it becomes a file name. */
  readonly name: string;
  /** Who was scanned, as far as the source says. */
  readonly patient: string;
  readonly lineage?: Lineage | undefined;
  /** Paths of what is read, for the report and to notice changes. */
  readonly files: readonly string[];
  /** What else decides what `read` gives, such as a mapping of labels; JSON, to notice changes. */
  readonly settings?: unknown;
  /** @throws Error of one sentence: the case is then skipped with that reason */
  readonly read: (notes: Notes) => Promise<ImportedCase>;
}

/** What an importer found in a folder. */
export interface ImportPlan {
  readonly name: string;
  readonly annotated: readonly LabelName[];
  /** Types that a voxel of unknown type (8) may be. */
  readonly untyped?: readonly LabelName[] | undefined;
  readonly hasUnknown?: boolean | undefined;
  /** True for phantoms. */
  readonly synthetic?: boolean | undefined;
  /** True where HU were computed from pictures of a display window. */
  readonly approximateHu?: boolean | undefined;
  readonly cases: readonly SourceCase[];
  /** What is there but cannot be a case: an image without mask, say. */
  readonly skipped?: readonly SkippedCase[] | undefined;
  readonly notes?: readonly Note[] | undefined;
}

export interface SkippedCase {
  readonly name: string;
  readonly reason: string;
}

export interface ImporterOptions {
  /** Folder with the DICOM slices that a data set of masks alone refers to. */
  readonly dicom?: string | undefined;
}

export interface PlanOptions extends ImporterOptions {
  /** Absolute path of the source as people know it: of an archive, not what it was unpacked to. */
  readonly place: string;
}

/** One kind of data set that can be imported: a row of the table in `importers.ts`. */
export interface Importer {
  readonly title: string;
  /** The layout in words, after "Expected": what the error says where it is not there. */
  readonly layout: string;
  /** What is in the folder; undefined where the layout is not there. @throws Error where it is there but cannot be used */
  readonly plan: (source: string, options: PlanOptions) => Promise<ImportPlan | undefined>;
}

/** The types of the public data sets, none of which marks chronic subdural blood or air. */
export const FIVE_TYPES = ['ICH', 'SDH', 'SAH', 'EDH', 'IVH'] as const satisfies readonly LabelName[];
