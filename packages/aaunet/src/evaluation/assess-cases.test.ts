import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Affine, Vector3, Volume } from '@aaunet/imaging';
import { writeNiftiFile } from '@aaunet/imaging/node';
import { memoryStats, tensor, tidy, type Tensor } from '@aaunet/torch';
import { Layer } from '@aaunet/torch/nn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { imagePath, labelPath, readDataset, writeDatasetFile, type Dataset } from '../datasets/dataset.js';
import { openSliceCache } from '../datasets/slice-cache.js';
import { assessCases, type AssessedCases } from './assess-cases.js';

const WINDOW = { center: 50, width: 200 };
const [SLICES, ROWS, COLUMNS] = [4, 48, 64];
/** Half the columns; the rows are padded to as many. */
const SIZE = 32;
const HU = { tissue: 35, ICH: 80, SDH: 120 };

/** Knows tissue, ICH and SDH by their density: a network whose right answer is known. */
class Densitometer extends Layer {
  override forward(image: Tensor): Tensor {
    return tidy(() => {
      const hu = image
        .select(1, 1)
        .unsqueeze(1)
        .mul(WINDOW.width)
        .add(WINDOW.center - WINDOW.width / 2);
      const expected = [HU.tissue, HU.ICH, HU.SDH, ...new Array<number>(5).fill(1e4)];
      const apart = hu.sub(tensor([expected.map((density) => [[density]])]));
      return apart.mul(apart).mul(-0.1);
    });
  }
}

/** Slices 5, 5 and 9 mm apart, which no affine can say. */
const POSITIONS = [0, 5, 10, 19].map((z): Vector3 => [-16, -12, z]);
const EXTENTS = [5, 5, 7, 9];
const AFFINE: Affine = [
  [-0.5, 0, 0, 16],
  [0, -0.5, 0, 12],
  [0, 0, 19 / 3, 0],
  [0, 0, 0, 1],
];

type Box = readonly [slice: number, row: number, column: number, height: number, width: number];

function caseOf(lesions: readonly (readonly [1 | 2, Box])[]): {
  image: Volume<Int16Array>;
  labels: Volume<Uint8Array>;
} {
  const geometry = { slices: SLICES, rows: ROWS, columns: COLUMNS, affine: AFFINE };
  const labels = new Uint8Array(SLICES * ROWS * COLUMNS);
  for (const [id, [slice, row, column, height, width]] of lesions)
    for (let j = row; j < row + height; j++)
      labels.fill(id, (slice * ROWS + j) * COLUMNS + column, (slice * ROWS + j) * COLUMNS + column + width);
  const image = Int16Array.from(labels, (id) => [HU.tissue, HU.ICH, HU.SDH][id]!);
  return { image: { ...geometry, data: image }, labels: { ...geometry, data: labels } };
}

async function assessWithDensitometer(dataset: Dataset, cases: readonly string[]): Promise<AssessedCases> {
  using network = new Densitometer();
  const cache = await openSliceCache(dataset, { size: SIZE });
  try {
    const config = { batch: 3, fit: 'pad', window: WINDOW, device: 'cpu', precision: 'fp32' } as const;
    return await assessCases(network, cache, cases, { config, dataset, empty: 'nan', missed: 'nan' });
  } finally {
    await cache.close();
  }
}

let folder: string;
let dataset: Dataset;
let assessed: AssessedCases;
let tensorsBefore: number;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-assess-'));
  await mkdir(join(folder, 'imagesTr'));
  await mkdir(join(folder, 'labelsTr'));
  const cases = {
    // In blocks of two by two, which half the resolution keeps.
    blocks: caseOf([
      [1, [1, 10, 20, 8, 12]],
      [1, [2, 12, 22, 6, 8]],
      [2, [3, 30, 40, 4, 16]],
    ]),
    // Three pixels of two rows: the network sees none of them whole.
    tiny: caseOf([[1, [0, 21, 31, 1, 3]]]),
    none: caseOf([]),
  };
  for (const [name, { image, labels }] of Object.entries(cases)) {
    await writeNiftiFile(imagePath(folder, name), image);
    await writeNiftiFile(labelPath(folder, name), labels);
  }
  const patients = { blocks: 'p1', tiny: 'p2', none: 'p2' };
  const slicePositions = { blocks: POSITIONS };
  await writeDatasetFile(folder, { name: 'boxes', patients, annotated: ['ICH', 'SDH'], slicePositions });
  dataset = await readDataset(folder);
  tensorsBefore = memoryStats().tensors;
  assessed = await assessWithDensitometer(dataset, ['blocks', 'none', 'tiny']);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const caseNamed = (name: string) => assessed.assessment.cases.find((entry) => entry.case === name)!;

describe('an evaluation', () => {
  it("scores the files' own voxels, though the network saw half of them, padded to a square", () => {
    const counts = assessed.scores.perCase.map(({ case: name, types }) => [name, types[0]!.truth, types[1]!.truth]);
    expect(counts).toEqual([
      ['blocks', 8 * 12 + 6 * 8, 4 * 16],
      ['none', 0, 0],
      ['tiny', 3, 0],
    ]);
    const voxels = assessed.scores.confusion.flat().reduce((sum, count) => sum + count, 0);
    expect(voxels).toBe(3 * SLICES * ROWS * COLUMNS);
    for (const type of caseNamed('blocks').types) {
      expect([type.name, type.dice, type.nsd1mm, type.hd95Mm]).toEqual([type.name, 1, 1, 0]);
      expect(type.lesions.matched).toBe(type.lesions.truth);
    }
  });

  it('does not hide what is too small for the network', () => {
    const { dice, truthMl } = caseNamed('tiny').types[0]!;
    expect(dice).toBeLessThan(1);
    expect(truthMl).toBeGreaterThan(0);
  });

  it('measures volumes by counting voxels in slices of their true extents, to 1e-6 mL', () => {
    const [ich, sdh, any] = caseNamed('blocks').types;
    const pixel = 0.5 * 0.5;
    const wanted = [(pixel * (96 * EXTENTS[1]! + 48 * EXTENTS[2]!)) / 1000, (pixel * 64 * EXTENTS[3]!) / 1000];
    expect(Math.abs(ich!.truthMl - wanted[0]!)).toBeLessThan(1e-6);
    expect(Math.abs(sdh!.predictedMl - wanted[1]!)).toBeLessThan(1e-6);
    expect(Math.abs(any!.truthMl - wanted[0]! - wanted[1]!)).toBeLessThan(1e-6);
  });

  it('leaves both-empty cases out of means, counts patients for intervals, and says by what rules', () => {
    const { types, conventions, intervals, calibration } = assessed.assessment;
    expect(types.map(({ name }) => name)).toEqual(['ICH', 'SDH', 'any']);
    expect(types[1]!.cases.dice).toMatchObject({ value: 1, n: 1 });
    expect(types[0]!.cases.dice.n).toBe(2);
    expect(types[1]!.caseDetection).toMatchObject({ sensitivity: { value: 1, n: 1 }, specificity: { value: 1, n: 2 } });
    expect(intervals.patients).toBe(2);
    expect(conventions).toMatchObject({ bothEmpty: 'nan', oneEmptyHd95: 'nan' });
    expect(calibration.pixels.n).toBe(3 * SLICES * SIZE * SIZE);
  });

  it('takes no probability from voxels of unknown type, which may be what the network says or not', async () => {
    const own = join(folder, 'unknown');
    for (const part of ['imagesTr', 'labelsTr']) await mkdir(join(own, part), { recursive: true });
    const { image, labels } = caseOf([[1, [1, 10, 20, 8, 12]]]);
    const unnamed = { ...labels, data: labels.data.map((id) => (id === 1 ? 8 : id)) };
    for (const [name, marks] of Object.entries({ named: labels, unnamed })) {
      await writeNiftiFile(imagePath(own, name), image);
      await writeNiftiFile(labelPath(own, name), marks);
    }
    const patients = { named: 'p1', unnamed: 'p2' };
    await writeDatasetFile(own, { name: 'unknown', patients, annotated: ['ICH', 'SDH'], hasUnknown: true });
    const { assessment } = await assessWithDensitometer(await readDataset(own), ['named', 'unnamed']);
    const ich = assessment.types.find(({ name }) => name === 'ICH')!;
    expect(ich.caseDetection.auc.value).toBe(1);
    expect(ich.sliceDetection.auc.value).toBe(1);
  });

  it('keeps the slices with most lesion as pictures, and no tensor', () => {
    const pictures = assessed.pictures.map(({ case: name, slices, geometry }) => [name, slices, geometry.rows]);
    expect(pictures[0]).toEqual(['blocks', [1, 2, 3], ROWS]);
    expect(memoryStats().tensors).toBe(tensorsBefore);
  });
});
