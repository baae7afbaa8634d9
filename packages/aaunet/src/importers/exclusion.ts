import { join } from 'node:path';
import { z } from 'zod';

import { readDataset, type Lineage } from '../datasets/dataset.js';
import { readJson } from '../schema-errors.js';

const scansSchema = z.looseObject({ cases: z.array(z.looseObject({ sha256: z.string() })) });

/** Patients, studies and scans of other data sets, which an import leaves out. */
export class Exclusion {
  private readonly ids = new Map<string, string>();
  private readonly scans = new Map<string, string>();

  /** @throws Error of one sentence where a folder holds no data set */
  static async of(folders: readonly string[]): Promise<Exclusion> {
    const exclusion = new Exclusion();
    for (const folder of folders) {
      const { name, cases } = await readDataset(folder);
      for (const { lineage } of cases) for (const id of idsOf(lineage)) exclusion.ids.set(id, name);
      const report = await readJson(join(folder, 'import-report.json'), scansSchema).catch(() => undefined);
      for (const { sha256 } of report?.cases ?? []) exclusion.scans.set(sha256, name);
    }
    return exclusion;
  }

  /** Why a case is left out; undefined where it is not. */
  reasonFor(lineage: Lineage | undefined, sha256?: string): string | undefined {
    const id = idsOf(lineage).find((candidate) => this.ids.has(candidate));
    if (id !== undefined) return `The data set ${this.ids.get(id)} has this patient or study (${id}).`;
    const set = sha256 === undefined ? undefined : this.scans.get(sha256);
    return set === undefined ? undefined : `The data set ${set} has this very scan.`;
  }
}

function idsOf(lineage: Lineage | undefined): string[] {
  if (lineage === undefined) return [];
  const { source, patient, study } = lineage;
  return [patient && `${source} patient ${patient}`, study && `${source} study ${study}`].filter(
    (id): id is string => typeof id === 'string' && id !== '',
  );
}
