import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

import { LABELS, parseDicom, writeDicomSeries, type Volume } from '@aaunet/imaging';
import { readNiftiFile } from '@aaunet/imaging/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { corruptStudy, writeStudies } from '../testing/dicom-studies.js';
import { sentenceOf } from '../cli/errors.js';
import { makeZip } from '../testing/zip-folder.js';
import type { SegmentationEngine } from './engine.js';
import { expandInputs } from './expand-inputs.js';
import { inputFingerprint, readManifest } from './manifest.js';
import { predictWith } from './predict.js';

/** Marks what is above 45 HU and below 150 as SDH, with a probability of four fifths. */
const engine: SegmentationEngine = {
  identity: { name: 'threshold', labels: LABELS.map(({ name }) => name), syntheticWeights: true, sha256: 'ab' },
  segment: (scan) => Promise.resolve(marked(scan, 2)),
  segmentWithProbabilities: (scan) =>
    Promise.resolve({
      labels: marked(scan, 2),
      probabilities: LABELS.map(({ id }) => (id === 2 ? marked(scan, 204) : marked(scan, 0))),
    }),
  close: () => Promise.resolve(),
};

function marked(scan: Volume<Int16Array>, value: number): Volume<Uint8Array> {
  return { ...scan, data: Uint8Array.from(scan.data, (hu) => (hu > 45 && hu < 150 ? value : 0)) };
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-batch-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('a folder of studies, two of them corrupt', () => {
  it('gives the other results and two clear sentences, and later does only what is missing', async () => {
    const studies = await writeStudies(join(folder, 'studies'), 6);
    for (const name of ['S03', 'S05']) await corruptStudy(join(studies, name));
    const inputs = await expandInputs([studies]);
    expect(inputs).toHaveLength(6);
    const out = join(folder, 'out');
    const { predictions, failures } = await predictWith(engine, inputs, { out });
    expect(predictions).toHaveLength(4);
    expect(failures.map(({ input }) => input)).toEqual([join(studies, 'S03'), join(studies, 'S05')]);
    for (const { error } of failures) expect(error.message).toMatch(/^Expected an axial CT series/);
    const { results } = (await readManifest(out))!;
    expect(results.filter(({ status }) => status === 'failed')).toHaveLength(2);

    const again = await predictWith(engine, inputs, { out, resume: true });
    expect([again.predictions.length, again.failures.length, again.skipped.length]).toEqual([0, 2, 4]);
    const other = { ...engine, identity: { ...engine.identity, sha256: 'cd' } };
    const options = { out, resume: true, flip: true };
    expect((await predictWith(other, inputs.slice(0, 2), options)).skipped).toEqual([]);
    // Each result names the weights and options that made it, whatever was done in the folder later.
    const made = new Map(
      (await readManifest(out))!.results.map(({ name, models, options }) => [name, { models, options }]),
    );
    expect(made.get('S02')).toMatchObject({ models: [{ name: 'threshold', sha256: 'ab' }], options: { flip: false } });
    expect(made.get('S01')).toMatchObject({ models: [{ name: 'threshold', sha256: 'cd' }], options: { flip: true } });
  }, 60_000);

  it('is refused before anything is computed where the results have no place', async () => {
    const inputs = await expandInputs([await writeStudies(join(folder, 'studies'), 1)]);
    const out = join(folder, 'file');
    await writeFile(out, '');
    const never: SegmentationEngine = { ...engine, segment: () => Promise.reject(new Error('computed')) };
    const failure: unknown = await predictWith(never, inputs, { out }).catch((error: unknown) => error);
    expect(sentenceOf(failure as Error)).toMatch(/file in the place of a folder/);
  });

  it('does a scan again whose result was removed', async () => {
    const inputs = await expandInputs([await writeStudies(join(folder, 'studies'), 2)]);
    const out = join(folder, 'out');
    await predictWith(engine, inputs, { out });
    await rm(join(out, 'S01'), { recursive: true });
    const { predictions, skipped } = await predictWith(engine, inputs, { out, resume: true });
    expect([predictions.map(({ folder: made }) => made), skipped]).toEqual([[join(out, 'S01')], [inputs[0]]]);
    expect(await readdir(join(out, 'S01'))).toContain('report.json');
  });
});

describe('a result of another input of the same name', () => {
  it.each(['path', 'number'] as const)('is kept (%s), and replaced by its own input alone', async (names) => {
    const [a, b] = await Promise.all(
      ['A', 'B'].map(async (patient) => {
        const input = join(folder, patient, 'study');
        await rename(join(await writeStudies(join(folder, patient), 1), 'S00'), input);
        return input;
      }),
    );
    const out = join(folder, 'out');
    const predictOne = async (input: string): Promise<string> => {
      const { predictions } = await predictWith(engine, [input], { out, names });
      return relative(out, predictions[0]!.folder);
    };
    const expected = names === 'path' ? ['study', 'study-2'] : ['study-001', 'study-002'];
    expect([await predictOne(a!), await predictOne(b!)]).toEqual(expected);
    expect([await predictOne(b!), await predictOne(a!)]).toEqual(expected.toReversed());
    const { results } = (await readManifest(out))!;
    expect(new Map(results.map(({ name, input }) => [name, input]))).toEqual(
      new Map([
        [expected[0], a],
        [expected[1], b],
      ]),
    );
    // Of a result that no manifest lists nobody knows the input.
    await rm(join(out, 'manifest.json'));
    expect(await predictOne(a!)).toBe(names === 'path' ? 'study-3' : 'study-003');
  });
});

describe('a batch that is stopped midway', () => {
  it('leaves whole results and nothing half, and is continued by resume', async () => {
    const inputs = await expandInputs([await writeStudies(join(folder, 'studies'), 5)]);
    const out = join(folder, 'out');
    const controller = new AbortController();
    const stopping = predictWith(engine, inputs, {
      out,
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === 'input' && event.index === 2) controller.abort(new Error('Stopped by Ctrl-C.'));
      },
    });
    await expect(stopping).rejects.toThrow('Stopped by Ctrl-C.');
    expect((await readdir(out)).sort()).toEqual(['S00', 'S01', 'manifest.json']);
    for (const name of ['S00', 'S01']) expect(await readdir(join(out, name))).toContain('report.dcm');
    const { predictions, skipped } = await predictWith(engine, inputs, { out, resume: true });
    expect([predictions.length, skipped.length]).toEqual([3, 2]);
    const again = await predictWith(engine, inputs, { out, resume: true });
    expect(again.skipped).toHaveLength(5);
  });
});

describe('a folder of zip archives', () => {
  it('is refused with the way out: to name the archives', async () => {
    await mkdir(join(folder, 'zips'));
    await writeFile(join(folder, 'zips', 'a.zip'), makeZip([['1.dcm', Uint8Array.of(1)]]));
    const { failures } = await predictWith(engine, [join(folder, 'zips')], { out: join(folder, 'out') });
    expect(failures[0]!.error.message).toContain('found a zip archive: name it instead of its folder');
  });
});

describe('results of a DICOM series', () => {
  it('are objects of its study, with probabilities where asked for, and no patient in their names', async () => {
    const studies = await writeStudies(join(folder, 'studies'), 1);
    const out = join(folder, 'out');
    const options = { out, probabilities: true, names: 'number' } as const;
    const { predictions } = await predictWith(engine, [join(studies, 'S00')], options);
    expect(await readdir(out)).toEqual(['manifest.json', 'study-001']);
    const result = predictions[0]!.folder;
    const source = parseDicom(await readFile(join(studies, 'S00', '0.dcm'))).dataset;
    for (const name of ['segmentation.dcm', 'probabilities.dcm', 'report.dcm']) {
      const { dataset } = parseDicom(await readFile(join(result, name)));
      for (const tag of [0x0020000d, 0x00100010, 0x00100020]) expect(dataset.text(tag)).toBe(source.text(tag));
    }
    const { volume } = await readNiftiFile(join(result, 'probability-SDH.nii.gz'));
    expect(Math.max(...volume.data)).toBeCloseTo(0.8, 6);
    const page = await readFile(join(result, 'report.html'), 'utf8');
    expect(page).toContain('Research use only');
    expect(page).toContain('less than a whole brain');
    expect(page).toContain('synthetic');
    expect(page).not.toMatch(/(src|href)="(?!data:)/);
    expect(page).not.toContain('PHANTOM^');
  });
});

describe('inputFingerprint', () => {
  const of = (input: string): Promise<string> =>
    inputFingerprint(join(folder, input), engine.identity, { flip: false, probabilities: false }, join(folder, 'out'));
  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  };

  it.each([
    ['one file of a series', '1.dcm', 'more/2.dcm'],
    ['a DICOMDIR', 'DICOMDIR', 'IMAGES/I1'],
    ['the header of a pair', 'a.hdr', 'a.IMG.gz'],
    ['the voxels of a pair', 'a.img', 'a.hdr'],
  ])('changes with all that is read for %s', async (_, input, other) => {
    await write(input, 'named');
    await write(other, 'read, too');
    const before = await of(input);
    expect(await of(input)).toBe(before);
    await write(other, 'read as well');
    expect(await of(input)).not.toBe(before);
  });

  it.each([
    ['another pair', 'a.hdr', 'b.img'],
    ['another NIfTI file', 'a.img', 'a.nii'],
    ['the results', '1.dcm', 'out/1/report.json'],
  ])('does not change with %s beside it', async (_, input, other) => {
    await write(input, 'named');
    const before = await of(input);
    await write(other, 'not read');
    expect(await of(input)).toBe(before);
  });
});

describe('results of a DICOM series without UIDs', () => {
  it('are written but for the DICOM objects, and say why', async () => {
    const studies = await writeStudies(join(folder, 'studies'), 1);
    for (const name of await readdir(join(studies, 'S00'))) {
      const bytes = await readFile(join(studies, 'S00', name));
      // SOP Instance UID (0008,0018) becomes an attribute that there is not.
      bytes[bytes.indexOf(Buffer.of(0x08, 0, 0x18, 0, 0x55, 0x49)) + 2] = 0x17;
      await writeFile(join(studies, 'S00', name), bytes);
    }
    const { predictions } = await predictWith(engine, [join(studies, 'S00')], { out: join(folder, 'out') });
    const { report, folder: result } = predictions[0]!;
    expect(report.problems.find(({ code }) => code === 'no-dicom-results')?.message).toContain('no SOP Instance UID');
    expect(await readdir(result)).not.toContain('segmentation.dcm');
    expect(await readdir(result)).toContain('segmentation.nii.gz');
  });
});

describe('expandInputs', () => {
  it('takes a folder of one study as one scan, and one of NIfTI files as many', async () => {
    const studies = await writeStudies(join(folder, 'studies'), 1);
    expect(await expandInputs([studies, join(folder, 'none')])).toEqual([studies, join(folder, 'none')]);
    const nifti = join(folder, 'nifti');
    await mkdir(nifti);
    for (const name of ['b.nii.gz', 'a.nii', 'notes.txt']) await writeFile(join(nifti, name), '');
    expect(await expandInputs([nifti])).toEqual([join(nifti, 'a.nii'), join(nifti, 'b.nii.gz')]);
  });

  it('takes a folder of studies as many scans, however large their files are', async () => {
    const scan: Volume<Int16Array> = {
      data: new Int16Array(3000 * 3000),
      columns: 3000,
      rows: 3000,
      slices: 1,
      affine: [
        [-0.1, 0, 0, 0],
        [0, -0.1, 0, 0],
        [0, 0, 5, 0],
        [0, 0, 0, 1],
      ],
    };
    const patients = ['A', 'B'].map((name) => join(folder, 'large', name));
    for (const patient of patients) {
      await mkdir(patient, { recursive: true });
      await writeFile(join(patient, 'slice.dcm'), writeDicomSeries(scan, { seed: patient })[0]!);
    }
    expect(await expandInputs([join(folder, 'large')])).toEqual(patients);
  });
});
