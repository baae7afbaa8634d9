import { medianOf, type Affine } from '@aaunet/imaging';
import { readNiftiFileHeader } from '@aaunet/imaging/node';

import { inBatches } from '../datasets/batches.js';
import type { Dataset } from '../datasets/dataset.js';
import type { ModelFile } from './model-file.js';

/** Headers that are read side by side. */
const SIDE_BY_SIDE = 8;

/** What model.json says of the training part of a data set; of the images the headers alone are read. */
export async function describeTrainingData(
  { name, cases }: Dataset,
  train: readonly string[],
): Promise<Required<Pick<ModelFile, 'spacing' | 'trainingData'>>> {
  const used = cases.filter((one) => train.includes(one.name));
  const spacings: [number, number, number][] = [];
  for (const batch of inBatches(used, SIDE_BY_SIDE)) {
    const headers = await Promise.all(batch.map(({ image }) => readNiftiFileHeader(image)));
    spacings.push(...headers.map(({ affine }) => patientSpacing(affine)));
  }
  const along = (axis: 0 | 1 | 2): number => Number(medianOf(spacings.map((spacing) => spacing[axis])).toFixed(4));
  const patients = new Set(used.map(({ patient }) => patient)).size;
  return { spacing: [along(0), along(1), along(2)], trainingData: { name, cases: used.length, patients } };
}

/** Voxel size in mm along the patient's axes, each that of the voxels' axis that is closest to it. */
function patientSpacing(affine: Affine): [number, number, number] {
  const columns = [0, 1, 2].map((c) => [0, 1, 2].map((row) => affine[row]![c]!));
  const sizes = columns.map((column) => Math.hypot(...column));
  const along = (axis: number): number => {
    const parts = columns.map((column, c) => Math.abs(column[axis]!) / sizes[c]!);
    return sizes[parts.indexOf(Math.max(...parts))]!;
  };
  return [along(0), along(1), along(2)];
}
