import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LABELS, type Affine, type Volume } from '@aaunet/imaging';
import { readNiftiFile } from '@aaunet/imaging/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatPredictions } from '../cli/commands/predict.js';
import { OUTPUT_FILES, outputName, writeOutputs } from './outputs.js';
import { formatVolumesCsv, makeReport } from './report.js';

const affine: Affine = [
  [-0.5, 0, 0, 10],
  [0, -0.5, 0, 20],
  [0, 0, 4, 30],
  [0, 0, 0, 1],
];
const scan: Volume<Int16Array> = { data: new Int16Array(4 * 4 * 3), rows: 4, columns: 4, slices: 3, affine };
const labelMap: Volume<Uint8Array> = { ...scan, data: new Uint8Array(48) };
labelMap.data.set([1, 1, 2], 0);
labelMap.data.set([1, 1, 1], 16);
const context = {
  name: 'case-1',
  source: 'dicom',
  model: { name: 'rsu-sc', labels: ['ICH', 'SDH'], syntheticWeights: true, sha256: 'ab' },
  problems: [{ code: 'tilt', message: 'Gantry tilt of 18.5 degrees.' }],
  software: 'aaunet 0.1.0',
} as const;

describe('makeReport', () => {
  it('measures volume, slices and the largest area', () => {
    const report = makeReport(scan, labelMap, context);
    // A voxel is 0.5 x 0.5 x 4 mm = 0.001 mL.
    expect(report.types[0]).toMatchObject({
      name: 'ICH',
      assessed: true,
      voxels: 5,
      volumeMl: 0.005,
      slices: [1, 2],
      largest: { slice: 2, areaMm2: 0.75 },
    });
    expect(report.types[2]).toMatchObject({
      name: 'SAH',
      assessed: false,
      voxels: null,
      volumeMl: null,
      slices: [],
      largest: null,
    });
    expect(report.bloodMl).toBeCloseTo(0.006, 9);
    expect(report.geometry).toMatchObject({
      spacingMm: [0.5, 0.5, 4],
      tiltDegrees: 0,
      unevenSteps: false,
      sliceOffsetsMm: null,
    });
    expect(report).toMatchObject({ researchUseOnly: true, syntheticWeights: true });
    expect(report.notice).toContain('synthetic');
  });

  it('counts air among the types and not as blood', () => {
    const air = { ...labelMap, data: labelMap.data.map((label) => (label === 2 ? 6 : label)) };
    const model = { ...context.model, labels: LABELS.map(({ name }) => name) };
    const report = makeReport(scan, air, { ...context, model });
    expect(report.types[5]).toMatchObject({ name: 'Pneumocranium', volumeMl: 0.001 });
    expect(report.bloodMl).toBeCloseTo(0.005, 9);
    expect(formatPredictions([{ input: 'a', folder: 'out/a', report }])).toMatch(/\| blood \|\n.*\n.*\| 0\.01 +\|/);
  });

  it('counts as blood what is assessed, and says so', () => {
    const third = { ...labelMap, data: labelMap.data.map((label) => (label === 2 ? 3 : label)) };
    const report = makeReport(scan, third, context);
    expect(report.bloodMl).toBeCloseTo(0.005, 9);
    expect(formatPredictions([{ input: 'a', folder: 'out/a', report }])).toContain('| blood in the assessed types |');
  });

  it('takes volumes from the true extents where steps are uneven, and says where slices lie', () => {
    const uneven: Volume<Int16Array> = {
      ...scan,
      positions: [
        [-10, -20, 30],
        [-10, -20, 32],
        [-10, -20, 38],
      ],
      extents: [2, 4, 6],
    };
    const report = makeReport(uneven, labelMap, context);
    expect(report.types[0]!.volumeMl).toBeCloseTo((2 * 0.25 * 2 + 3 * 0.25 * 4) / 1000, 9);
    expect(report.geometry).toMatchObject({
      unevenSteps: true,
      stepMm: { min: 2, median: 4, max: 6 },
      sliceOffsetsMm: [0, 2, 8],
      sliceExtentsMm: [2, 4, 6],
    });
  });

  it('refuses a label map of another geometry or with unknown labels', () => {
    expect(() =>
      makeReport(scan, { ...labelMap, affine: [[1, 0, 0, 0], affine[1], affine[2], affine[3]] }, context),
    ).toThrow("scan's geometry");
    expect(() => makeReport(scan, { ...labelMap, data: new Uint8Array(48).fill(9) }, context)).toThrow('found 9');
  });
});

describe('formatVolumesCsv', () => {
  it('has a line for each type', () => {
    const lines = formatVolumesCsv(makeReport(scan, labelMap, context))
      .trimEnd()
      .split('\n');
    expect(lines).toHaveLength(8);
    expect(lines[1]).toBe('case-1,ICH,yes,0.005,5,2,2,0.75');
    expect(lines[3]).toBe('case-1,SAH,no,,,,,');
  });
});

describe('outputName', () => {
  it('is a harmless folder name, unique among the others', () => {
    expect(outputName('/data/CASE_0000.nii.gz')).toBe('CASE_0000');
    expect(outputName('/data/study/')).toBe('study');
    expect(outputName('/data/=cmd|x, "y".nii')).toBe('cmd-x-y');
    expect(outputName('/data/...')).toBe('scan');
    expect(outputName('/other/A.nii', new Set(['a', 'A-2']))).toBe('A-3');
  });
});

describe('writeOutputs', () => {
  let out: string;
  beforeEach(async () => {
    out = await mkdtemp(join(tmpdir(), 'aaunet-outputs-'));
  });
  afterEach(async () => {
    await rm(out, { recursive: true, force: true });
  });

  it('writes the four files, a label map in the geometry of the scan among them', async () => {
    const { folder } = await writeOutputs(out, scan, labelMap, context);
    expect((await readdir(folder)).sort()).toEqual(Object.keys(OUTPUT_FILES).sort());
    const { volume } = await readNiftiFile(join(folder, 'segmentation.nii.gz'));
    expect(volume.affine).toEqual(affine);
    expect(volume.data).toEqual(labelMap.data);
    const report: unknown = JSON.parse(await readFile(join(folder, 'report.json'), 'utf8'));
    expect(report).toEqual(JSON.parse(JSON.stringify(makeReport(scan, labelMap, context))));
    expect(await readdir(out)).toEqual(['case-1']);
  });

  it('replaces an earlier result and writes nothing at all on failure', async () => {
    await writeOutputs(out, scan, labelMap, context);
    await writeOutputs(out, scan, labelMap, context);
    const bad = { ...labelMap, data: new Uint8Array(48).fill(9) };
    await expect(writeOutputs(out, scan, bad, { ...context, name: 'b' })).rejects.toThrow('found 9');
    expect(await readdir(out)).toEqual(['case-1']);
  });
});
