import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { writeDicomSeries } from '@aaunet/imaging';
import { writeFileAtomic, writeNiftiFile } from '@aaunet/imaging/node';

import { generatePhantom } from './phantom.js';
import type { CasePlan } from './plan.js';
import type { CaseStatistics } from './statistics.js';
import { caseStatistics } from './statistics.js';

export interface CaseJob {
  readonly out: string;
  readonly plan: CasePlan;
  readonly size: number;
  readonly dicom: boolean;
}

/** Generates one case and writes its files; returns what it adds to the statistics. */
export async function writeCase(job: CaseJob): Promise<CaseStatistics> {
  const { out, plan, size, dicom } = job;
  const { image, labels } = generatePhantom({ ...plan, size });
  await writeNiftiFile(join(out, 'imagesTr', `${plan.name}_0000.nii.gz`), image, { level: 3 });
  await writeNiftiFile(join(out, 'labelsTr', `${plan.name}.nii.gz`), labels);
  if (dicom) {
    const folder = join(out, 'dicom', plan.name);
    await mkdir(folder, { recursive: true });
    const files = writeDicomSeries(image, {
      seed: `aaunet phantom ${plan.seed} ${size}`,
      patient: plan.patient,
      studyDescription: 'SYNTHETIC PHANTOM',
      seriesDescription: 'SYNTHETIC PHANTOM HEAD 5MM',
    });
    for (const [k, bytes] of files.entries()) {
      await writeFileAtomic(join(folder, `${String(k + 1).padStart(4, '0')}.dcm`), bytes);
    }
  }
  return caseStatistics(plan.name, plan.patient, labels);
}
