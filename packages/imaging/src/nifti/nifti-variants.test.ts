import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { affineDeterminant } from '../affine.js';
import { ImagingError } from '../imaging-error.js';
import { readNiftiFile } from '../node/nifti-file.js';
import { readVolume } from '../node/read-volume.js';
import type { Affine } from '../volume.js';
import { niftiFixture, type NiftiFixture } from './fixture.js';
import { fuzzNifti } from './fuzz.js';
import { readNifti, readNiftiPair } from './read.js';

const read = (options: NiftiFixture) => readNifti(niftiFixture(options).file);
const problemsOf = (options: NiftiFixture): string[] => read(options).header.problems.map(({ code }) => code);

const versions = [1, 2] as const;

describe.each(versions)('NIfTI-%d', (version) => {
  it('is read with any affine, sizes, byte order and integer or float type, alone and as a pair', () => {
    const limits: Readonly<Record<number, readonly [number, number]>> = {
      2: [0, 255],
      4: [-32768, 32767],
      8: [-(2 ** 24), 2 ** 24],
      16: [-(2 ** 20), 2 ** 20],
      64: [-(2 ** 20), 2 ** 20],
      256: [-128, 127],
      512: [0, 65535],
      768: [0, 2 ** 24],
      1024: [-(2 ** 24), 2 ** 24],
      1280: [0, 2 ** 24],
    };
    const codes = Object.keys(limits).map(Number);
    const number = fc.integer({ min: -2400, max: 2400 }).map((value) => value / 8);
    const arbitrary = fc
      .record({
        datatype: fc.constantFrom(...codes),
        littleEndian: fc.boolean(),
        paired: fc.boolean(),
        sizes: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
        srow: fc.array(number, { minLength: 12, maxLength: 12 }),
        packed: fc.boolean(),
      })
      .chain((options) => {
        const [min, max] = limits[options.datatype]!;
        const count = options.sizes[0] * options.sizes[1] * options.sizes[2];
        return fc.record({
          options: fc.constant(options),
          voxels: fc.array(fc.integer({ min, max }), { minLength: count, maxLength: count }),
        });
      });
    fc.assert(
      fc.property(arbitrary, ({ options, voxels }) => {
        const { sizes, srow, paired, packed } = options;
        const rows = [0, 4, 8].map((start) => srow.slice(start, start + 4));
        const affine = [...rows, [0, 0, 0, 1]] as unknown as Affine;
        fc.pre(Math.abs(affineDeterminant(affine)) > 1e-6);
        const made = niftiFixture({ ...options, version, dim: [3, ...sizes, 1, 1, 1, 1], voxels });
        const pack = (bytes: Uint8Array): Uint8Array => (packed ? gzipSync(bytes) : bytes);
        const { volume, header } = paired
          ? readNiftiPair(pack(made.header), pack(made.voxels))
          : readNifti(pack(made.file));
        expect([volume.columns, volume.rows, volume.slices]).toEqual(sizes);
        expect(Array.from(volume.data)).toEqual(voxels);
        expect(volume.affine.flat().map((value) => value + 0)).toEqual(affine.flat().map((value) => value + 0));
        expect(header).toMatchObject({ version, paired, affineFrom: 'sform' });
      }),
      { numRuns: 150 },
    );
  });

  it('takes the sform before the qform, the qform where the sform is not set or singular, then the voxel sizes', () => {
    const zero = new Array<number>(12).fill(0);
    const qform = { version, qformCode: 1, quatern: [0, 0, 1, 7, 8, 9], pixdim: [-1, 0.5, 0.5, 5, 1, 1, 1, 1] };
    expect(read({ ...qform, sformCode: 1 }).header.affineFrom).toBe('sform');
    // Turned by half a turn about z, with qfac -1: the third axis points down.
    for (const sform of [{ sformCode: 0 }, { sformCode: 0, srow: zero }, { sformCode: 2, srow: zero }]) {
      const { header } = read({ ...qform, ...sform });
      expect(header.affineFrom).toBe('qform');
      expect(header.affine.flat().map((value) => value + 0)).toEqual(
        [-0.5, 0, 0, 7, 0, -0.5, 0, 8, 0, 0, -5, 9, 0, 0, 0, 1].map((value) => expect.closeTo(value, 6) as number),
      );
    }
    const neither = read({ version, sformCode: 0 }).header;
    expect([neither.affineFrom, neither.affine[2][2]]).toEqual(['pixdim', 5]);
    expect(() => read({ version, sformCode: 0, pixdim: [1, 0, 0, 0, 0, 0, 0, 0] })).toThrow('found neither');
  });

  it('says what is odd about a header instead of hiding it', () => {
    const same = { version, qformCode: 1, quatern: [0, 0, 1, 10, 20, -30] };
    expect(problemsOf(same)).toEqual([]);
    expect(problemsOf({ ...same, quatern: [0, 0, 1, 12, 20, -30] })).toEqual(['affine-disagreement']);
    expect(problemsOf({ version, sformCode: 0 })).toEqual(['affine-from-pixdim']);
    expect(problemsOf({ version, srow: [-0.5, 0, 0, 0, 0, -0.5, 1.6, 0, 0, 0, 4.7, 0] })).toEqual(['sheared-affine']);
    expect(problemsOf({ version, slope: NaN, intercept: NaN })).toEqual([]);
    expect(problemsOf({ version, slope: NaN, intercept: 5 })).toEqual(['scaling-ignored']);
    expect(problemsOf({ version, slope: Infinity })).toEqual(['scaling-ignored']);
  });

  it('takes zeros beyond the third dimension for ones, and refuses a second volume', () => {
    expect(read({ version, dim: [4, 2, 2, 1, 0, 0, 0, 0] }).volume.slices).toBe(1);
    expect(() => read({ version, dim: [4, 2, 2, 1, 2, 1, 1, 1] })).toThrow('split the file first');
  });

  it('steps over an oversized header (extensions), and refuses voxels that begin inside it', () => {
    expect(Array.from(read({ version, voxelOffset: 4096 }).volume.data)).toEqual([0, 1, 2, 3]);
    const { file } = niftiFixture({ version });
    const view = new DataView(file.buffer);
    if (version === 1) view.setFloat32(108, 100, true);
    else view.setBigInt64(168, 100n, true);
    expect(() => readNifti(file)).toThrow(/Expected voxels at byte (348|540) or later, found the offset 100/);
  });

  it('refuses a header cut anywhere', () => {
    const { file } = niftiFixture({ version });
    const size = version === 1 ? 348 : 540;
    for (let length = 0; length < size; length += 7) {
      expect(() => readNifti(file.subarray(0, length))).toThrow(ImagingError);
    }
    expect(() => readNifti(file.subarray(0, file.length - 1))).toThrow('truncated');
  });

  it('refuses sizes whose product no file holds, before allocating', () => {
    const huge = version === 1 ? 32767 : 2 ** 31;
    expect(() => read({ version, dim: [3, huge, huge, huge, 1, 1, 1, 1] })).toThrow('Expected at most');
    expect(() => read({ version, dim: [3, 30000, 1000, 1, 1, 1, 1, 1] })).toThrow('truncated or its header is wrong');
  });
});

describe('NIfTI data types', () => {
  it('keeps 64-bit integers as integers where they are small, else as the nearest floats', () => {
    const small = read({ datatype: 1024, voxels: [-1n, 0n, 40n, 32767n] }).volume.data;
    expect([small.constructor, ...small]).toEqual([Int16Array, -1, 0, 40, 32767]);
    const large = read({ datatype: 1280, voxels: [0n, 1n, 2n ** 40n, 3n] }).volume.data;
    expect([large.constructor, ...large]).toEqual([Float32Array, 0, 1, 2 ** 40, 3]);
  });

  it.each([
    [32, 'complex'],
    [128, 'RGB'],
    [1536, '128-bit floats'],
    [7, 'unknown NIfTI data type 7'],
  ])('refuses type %d, naming it', (datatype, name) => {
    expect(() => read({ datatype })).toThrow(name);
  });
});

describe('.hdr/.img pairs', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nifti-pair-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });
  const { header, voxels, file } = niftiFixture({ paired: true, voxels: [5, 6, 7, 8] });

  it('are found from either name, in either case, compressed or not', async () => {
    await writeFile(join(folder, 'a.hdr'), header);
    await writeFile(join(folder, 'a.img'), voxels);
    await writeFile(join(folder, 'b.HDR'), header);
    await writeFile(join(folder, 'b.img.gz'), gzipSync(voxels));
    for (const name of ['a.hdr', 'a.img', 'b.HDR', 'b.img.gz']) {
      expect(Array.from((await readNiftiFile(join(folder, name))).volume.data)).toEqual([5, 6, 7, 8]);
    }
    expect(await readVolume(join(folder, 'a.img'))).toMatchObject({ source: 'nifti', header: { paired: true } });
  });

  it('are refused in a sentence where they are cut off or damaged', async () => {
    const path = join(folder, 'b.img.gz');
    const packed = gzipSync(voxels);
    await writeFile(join(folder, 'b.HDR'), header);
    await writeFile(path, packed.subarray(0, packed.length - 9));
    await expect(readNiftiFile(path)).rejects.toThrow('Expected a whole gzip file, found one that is cut off.');
    await writeFile(path, packed.fill(255, 10, 14));
    await expect(readNiftiFile(path)).rejects.toThrow(/Expected a whole gzip file, found damaged data \(/);
  });

  it('are refused where one half is missing, too short or of another kind', async () => {
    await writeFile(join(folder, 'a.hdr'), header);
    await expect(readNiftiFile(join(folder, 'a.hdr'))).rejects.toThrow('found no voxels (.img)');
    await writeFile(join(folder, 'a.img'), voxels.subarray(1));
    await expect(readNiftiFile(join(folder, 'a.hdr'))).rejects.toThrow('truncated');
    await writeFile(join(folder, 'a.hdr'), niftiFixture().file);
    await expect(readNiftiFile(join(folder, 'a.img'))).rejects.toThrow('name it .nii and read it alone');
    await writeFile(join(folder, 'a.hdr'), new Uint8Array(3_000_000));
    await expect(readNiftiFile(join(folder, 'a.img'))).rejects.toThrow('header');
    expect(() => readNifti(file)).toThrow('pass both files');
  });

  it('of Analyze 7.5, which say nothing of left and right, are refused in words', () => {
    const analyze = header.slice();
    analyze.fill(0, 344, 348);
    expect(() => readNiftiPair(analyze, voxels)).toThrow('Analyze 7.5');
  });
});

describe('fuzzing', () => {
  it('reads or refuses thousands of damaged files, a new batch each day', () => {
    const day = Math.floor(Date.now() / 86_400_000);
    for (const seed of [1, day]) {
      const { read: good, refused, runs } = fuzzNifti(seed, 4000);
      expect(good + Object.values(refused).reduce((sum, count) => sum + count, 0)).toBe(runs);
      // Neither all read nor all refused: the mutations reach both the header's checks and the voxels.
      expect(good).toBeGreaterThan(runs / 20);
      for (const code of ['not-nifti', 'bad-nifti', 'truncated', 'unsupported', 'too-large']) {
        expect(refused[code], code).toBeGreaterThan(0);
      }
    }
  });
});
