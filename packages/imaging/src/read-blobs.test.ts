import { zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';

import { loadChosenSeries } from './dicom/scan.js';
import { writeDicomSeries } from './dicom/write.js';
import { writeNiftiGz } from './nifti/write.js';
import { readBlobs } from './read-blobs.js';
import type { Volume } from './volume.js';

const SCAN: Volume<Int16Array> = {
  data: Int16Array.from({ length: 60 }, (_, index) => index * 10 - 200),
  columns: 5,
  rows: 4,
  slices: 3,
  affine: [
    [-1, 0, 0, 3],
    [0, -2, 0, 4],
    [0, 0, 5, 5],
    [0, 0, 0, 1],
  ],
};
const files = writeDicomSeries(SCAN, { seed: 'a' });
const blobOf = (bytes: Uint8Array): Blob => new Blob([bytes.slice()]);

describe('readBlobs', () => {
  it('reads a dropped DICOM folder and a zip of it to the same voxels, foreign files named', async () => {
    const folder = files.map((bytes, k) => ({ name: `study/${k}`, blob: blobOf(bytes) }));
    const zip = zipSync(Object.fromEntries(files.map((bytes, k) => [`s/${k}`, bytes])));
    const dropped = [
      [...folder, { name: 'study/notes.txt', blob: new Blob(['hello']) }],
      [{ name: 'study.zip', blob: blobOf(zip) }],
    ];
    for (const [index, names] of dropped.entries()) {
      const study = await readBlobs(names);
      if (study.kind !== 'dicom') throw new Error('Expected DICOM.');
      const { volume, skipped } = await loadChosenSeries(study.folder);
      expect(volume.data).toEqual(SCAN.data);
      expect(skipped.map(({ file }) => file)).toEqual(index === 0 ? ['study/notes.txt'] : []);
    }
  });

  it('gives each slice its own voxels where dropped files have one name', async () => {
    const study = await readBlobs(files.map((bytes) => ({ name: 'IM1', blob: blobOf(bytes) })));
    if (study.kind !== 'dicom') throw new Error('Expected DICOM.');
    expect((await loadChosenSeries(study.folder)).volume.data).toEqual(SCAN.data);
  });

  it('reads one NIfTI file, whatever its name, and refuses none and several', async () => {
    const blob = blobOf(writeNiftiGz(SCAN));
    const study = await readBlobs([{ name: 'odd', blob }]);
    expect(study.kind === 'nifti' && study.image.volume.data).toEqual(SCAN.data);
    await expect(readBlobs([])).rejects.toThrow('found no file');
    await expect(
      readBlobs([
        { name: 'a', blob },
        { name: 'b', blob },
      ]),
    ).rejects.toThrow('found 2');
  });
});
