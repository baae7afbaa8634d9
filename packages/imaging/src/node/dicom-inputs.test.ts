import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { zipSync } from 'fflate';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { sequence } from '../dicom/compressed-fixture.js';
import { encodeAttributes } from '../dicom/encode.js';
import { ctFile } from '../dicom/fixture.js';
import { EXPLICIT_LITTLE } from '../dicom/syntaxes.js';
import { DICOMDIR_STORAGE, TAG } from '../dicom/tags.js';
import { sha256, toHex } from '../sha256.js';
import { readDicomFolder, readDicomZip } from './dicom-folder.js';
import { inspect } from './inspect.js';
import { writeNiftiFile } from './nifti-file.js';
import { readVolume } from './read-volume.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imaging-inputs-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const study = (): Record<string, Uint8Array> => ({
  'study/a.dcm': ctFile(0),
  'study/b.dcm': ctFile(5),
  '../../escaped.dcm': ctFile(10),
  'notes.txt': new TextEncoder().encode('no image'),
});

async function writeZip(name: string, files = study(), level: 0 | 6 = 6): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, zipSync(files, { level }));
  return path;
}

/** An archive with all sizes and offsets in Zip64 fields: ones in the 32-bit places, the values in extra fields. */
function asZip64(plain: Buffer): Buffer {
  const end = plain.length - 22;
  const [count, start] = [plain.readUInt16LE(end + 10), plain.readUInt32LE(end + 16)];
  const entries: Buffer[] = [];
  for (let at = start; at < end;) {
    const nameEnd = at + 46 + plain.readUInt16LE(at + 28);
    const head = Buffer.from(plain.subarray(at, nameEnd));
    const extra = Buffer.alloc(28);
    extra.writeUInt16LE(1, 0);
    extra.writeUInt16LE(24, 2);
    for (const [k, field] of [24, 20, 42].entries()) {
      extra.writeBigUInt64LE(BigInt(head.readUInt32LE(field)), 4 + 8 * k);
      head.writeUInt32LE(0xffffffff, field);
    }
    at = nameEnd + head.readUInt16LE(30) + head.readUInt16LE(32);
    head.writeUInt16LE(extra.length, 30);
    head.writeUInt16LE(0, 32);
    entries.push(head, extra);
  }
  const directory = Buffer.concat(entries);
  const end64 = Buffer.alloc(56);
  end64.writeUInt32LE(0x06064b50, 0);
  end64.writeBigUInt64LE(44n, 4);
  end64.writeBigUInt64LE(BigInt(count), 24);
  end64.writeBigUInt64LE(BigInt(count), 32);
  end64.writeBigUInt64LE(BigInt(directory.length), 40);
  end64.writeBigUInt64LE(BigInt(start), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(start + directory.length), 8);
  locator.writeUInt32LE(1, 16);
  const last = Buffer.from(plain.subarray(end));
  last.writeUInt16LE(0xffff, 8);
  last.writeUInt16LE(0xffff, 10);
  last.writeUInt32LE(0xffffffff, 12);
  last.writeUInt32LE(0xffffffff, 16);
  return Buffer.concat([plain.subarray(0, start), directory, end64, locator, last]);
}

describe('zip archives', () => {
  it('are read stored or deflated, and nothing is unpacked, wherever names point', async () => {
    for (const level of [0, 6] as const) {
      const path = await writeZip('study.zip', study(), level);
      const { volume, skipped } = await readDicomZip(path);
      expect(volume.slices).toBe(3);
      expect(skipped.map(({ file }) => file)).toEqual([`${path}!notes.txt`]);
      expect((await readVolume(path)).volume).toEqual(volume);
    }
    expect(await readdir(folder)).toEqual(['study.zip']);
  });

  it('are read in Zip64 form, as archives of more than 4 GiB or 65,535 files are written', async () => {
    const plain = await writeZip('study.zip');
    const large = join(folder, 'large.zip');
    await writeFile(large, asZip64(await readFile(plain)));
    expect((await readDicomZip(large)).volume).toEqual((await readDicomZip(plain)).volume);
    const lying = asZip64(await readFile(plain));
    // The place of the Zip64 directory, in the locator before the last 22 bytes.
    lying.writeBigUInt64LE(2n ** 60n, lying.length - 22 - 12);
    await writeFile(large, lying);
    await expect(readDicomZip(large)).rejects.toThrow('Zip64 directory inside of the file');
  });

  it('cut or changed anywhere are refused, or their damaged files are skipped', async () => {
    const whole = await readFile(await writeZip('study.zip'));
    for (let cut = 1; cut < whole.length; cut += 97) {
      await writeFile(join(folder, 'bad.zip'), whole.subarray(0, whole.length - cut));
      await expect(readDicomZip(join(folder, 'bad.zip'))).rejects.toMatchObject({ name: 'ImagingError' });
    }
    for (let at = 0; at < whole.length; at += 41) {
      const bytes = Uint8Array.from(whole);
      bytes[at]! ^= 0x55;
      await writeFile(join(folder, 'bad.zip'), bytes);
      try {
        expect((await readDicomZip(join(folder, 'bad.zip'))).volume.slices).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toMatchObject({ name: 'ImagingError' });
      }
    }
  });

  it.each([
    ['in the code page of DOS', 0x84, 0x94, ['aä.dcm', 'aö.dcm']],
    ['equal', 0x41, 0x41, ['aA.dcm', 'aA.dcm']],
  ])('give each slice its own voxels where names are %s', async (_, first, second, names) => {
    const slices = [100, 200, 300].map((value, k) => ctFile(5 * k, { pixels: new Uint16Array(6).fill(value) }));
    const path = await writeZip('names.zip', { 'aX.dcm': slices[0]!, 'aY.dcm': slices[1]!, 'c.dcm': slices[2]! });
    const bytes = await readFile(path);
    for (const [name, byte] of [['aX.dcm', first] as const, ['aY.dcm', second] as const]) {
      for (let at = bytes.indexOf(name); at >= 0; at = bytes.indexOf(name, at)) bytes[at + 1] = byte;
    }
    await writeFile(path, bytes);
    const { volume, series, skipped } = await readDicomZip(path);
    expect([...volume.data].filter((_hu, index) => index % 6 === 0)).toEqual([-900, -800, -700]);
    expect(skipped).toEqual([]);
    expect(series.slices.slice(0, 2).map(({ file }) => file.split('!')[1])).toEqual(names);
  });

  it('whose entries overlap, as bombs do, are refused', async () => {
    const bytes = Uint8Array.from(await readFile(await writeZip('study.zip')));
    const view = new DataView(bytes.buffer);
    for (let at = 0; at + 46 < bytes.length; at++) {
      if (view.getUint32(at, true) === 0x02014b50) view.setUint32(at + 20, bytes.length, true);
    }
    await writeFile(join(folder, 'bomb.zip'), bytes);
    await expect(readDicomZip(join(folder, 'bomb.zip'))).rejects.toThrow('hostile');
  });
});

describe('DICOMDIR', () => {
  const record = (...parts: string[]): Uint8Array =>
    encodeAttributes([{ tag: TAG.referencedFileId, vr: 'CS', value: parts }]);
  const dicomdir = (records: readonly Uint8Array[]): Uint8Array =>
    Uint8Array.from([
      ...new Uint8Array(128),
      ...[0x44, 0x49, 0x43, 0x4d],
      ...encodeAttributes([
        { tag: TAG.mediaSopClassUid, vr: 'UI', value: DICOMDIR_STORAGE },
        { tag: TAG.transferSyntaxUid, vr: 'UI', value: EXPLICIT_LITTLE },
      ]),
      ...sequence(TAG.directoryRecords, records),
    ]);

  it('leads to the files that it lists, and what it lists and is not there is reported', async () => {
    await mkdir(join(folder, 'IMAGES'));
    await writeFile(join(folder, 'IMAGES', 'A'), ctFile(0));
    await writeFile(join(folder, 'IMAGES', 'b'), ctFile(5));
    await writeFile(join(folder, 'unlisted'), ctFile(10));
    const records = [record('IMAGES', 'A'), record('IMAGES', 'B'), record('IMAGES', 'GONE')];
    await writeFile(join(folder, 'DICOMDIR'), dicomdir(records));
    const listed = await readVolume(join(folder, 'DICOMDIR'));
    expect(listed.volume.slices).toBe(2);
    const whole = await readDicomFolder(folder);
    expect(whole.volume.slices).toBe(3);
    const gone = whole.skipped.find(({ reason }) => reason.includes('copy is incomplete'));
    expect(gone?.file).toBe(join(folder, 'IMAGES', 'GONE'));
  });

  it('in a zip archive is no slice, and what it lists and the archive lacks is reported', async () => {
    const path = await writeZip('cd.zip', {
      DICOMDIR: dicomdir([record('IMAGES', 'A'), record('IMAGES', 'B'), record('IMAGES', 'GONE')]),
      'IMAGES/A': ctFile(0),
      'images/b': ctFile(5),
    });
    const { volume, skipped } = await readDicomZip(path);
    expect(volume.slices).toBe(2);
    expect(skipped.map(({ file }) => file)).toEqual([`${path}!DICOMDIR`, `${path}!IMAGES/GONE`]);
    expect(skipped[1]!.reason).toContain('copy is incomplete');
  });

  it('that lists paths outside of its folder is refused', async () => {
    await writeFile(join(folder, 'DICOMDIR'), dicomdir([record('..', 'SECRET')]));
    await expect(readVolume(join(folder, 'DICOMDIR'))).rejects.toThrow('file names in the DICOMDIR');
  });
});

describe('inspect', () => {
  it('lists every series, the chosen one first, with a checksum of its unrepaired HU', async () => {
    const path = await writeZip('study.zip', {
      ...study(),
      'other.dcm': ctFile(0, { change: [{ tag: TAG.seriesInstanceUid, vr: 'UI', value: '1.2.3.9' }] }),
    });
    const { series, skipped } = await inspect(path);
    expect(series.map(({ uid, chosen, slices }) => [uid, chosen, slices])).toEqual([
      ['1.2.3.4', true, 3],
      ['1.2.3.9', false, 1],
    ]);
    const { volume } = await readDicomZip(path, { repair: false });
    expect(series[0]!.sha256).toBe(toHex(sha256(new Uint8Array(volume.data.buffer))));
    expect(series[0]!.hu).toEqual({ min: -1000, max: 1000, mean: -62.5 });
    expect(series[0]!.positions).toEqual([0, 5, 10].map((z) => [-100, -110, z]));
    expect(skipped.length).toBe(1);
    expect((await inspect(path, { seriesUid: '1.2.3.9' })).series[0]!.uid).toBe('1.2.3.9');
    await expect(inspect(path, { seriesUid: '9' })).rejects.toThrow('found only');
  });

  it('keeps the studies of a mixed folder apart, and chooses among them', async () => {
    const study2 = [
      { tag: TAG.studyInstanceUid, vr: 'UI', value: '1.2.4' },
      { tag: TAG.seriesInstanceUid, vr: 'UI', value: '1.2.4.1' },
      { tag: TAG.contrastAgent, vr: 'LO', value: 'IOHEXOL' },
    ] as const;
    // Both studies lie at the same places and even share a series UID, as sloppy anonymisers make them.
    const study3 = [{ tag: TAG.studyInstanceUid, vr: 'UI', value: '1.2.5' }] as const;
    for (const z of [0, 5, 10, 15, 20, 25]) {
      await writeFile(join(folder, `a${z}`), ctFile(z));
      await writeFile(join(folder, `b${z}`), ctFile(z, { change: study2 }));
      if (z < 15) await writeFile(join(folder, `c${z}`), ctFile(z, { change: study3 }));
    }
    const { series } = await inspect(folder);
    expect(series.map(({ uid, slices, chosen }) => [uid, slices, chosen])).toEqual([
      ['1.2.3.4', 6, true],
      ['1.2.4.1', 6, false],
      ['1.2.3.4', 3, false],
    ]);
    expect(series[0]!.problems[0]!.message).toContain('one of 3 axial CT series');
    expect(series[0]!.problems[1]).toMatchObject({
      code: 'other-studies',
      message: expect.stringContaining('belong to 3 studies') as string,
    });
    expect(series[1]!.problems[0]!.message).toContain('contrast agent');
    expect(series[2]!.problems[0]!.message).toContain('--series 1.2.3.4#2.');
  });

  it('tells two stacks under one UID apart by a number, which --series takes', async () => {
    const finer = [{ tag: TAG.pixelSpacing, vr: 'DS', value: [0.25, 0.25] }] as const;
    for (const z of [0, 5, 10]) await writeFile(join(folder, `a${z}`), ctFile(z));
    for (const z of [0, 5]) await writeFile(join(folder, `b${z}`), ctFile(z, { change: finer }));
    const { series } = await inspect(folder);
    expect(series.map(({ rowSpacing, chosen }) => [rowSpacing, chosen])).toEqual([
      [0.5, true],
      [0.25, false],
    ]);
    expect(series[1]!.problems[0]!.message).toContain('--series 1.2.3.4#2.');
    const second = await inspect(folder, { seriesUid: '1.2.3.4#2' });
    expect(second.series[0]).toMatchObject({ rowSpacing: 0.25, chosen: true, slices: 2 });
    const read = await readVolume(folder, { seriesUid: '1.2.3.4#2' });
    expect(read.volume.slices).toBe(2);
    await expect(readVolume(folder, { seriesUid: '1.2.3.4#3' })).rejects.toThrow('found only 1.2.3.4, 1.2.3.4#2.');
  });

  it('explains a screen capture without geometry, alone and among slices', async () => {
    const capture = ctFile(0, {
      change: [
        { tag: TAG.sopClassUid, vr: 'UI', value: '1.2.840.10008.5.1.4.1.1.7' },
        ...[TAG.imagePosition, TAG.imageOrientation, TAG.pixelSpacing, TAG.sliceThickness],
      ],
    });
    // Some exporters keep the CT class and drop the geometry.
    const stripped = ctFile(0, { change: [TAG.imagePosition, TAG.imageOrientation] });
    await writeFile(join(folder, 'capture'), capture);
    await writeFile(join(folder, 'stripped'), stripped);
    const { series, skipped } = await inspect(folder);
    expect(series).toEqual([]);
    expect(skipped[0]!.reason).toContain('a picture of a screen without position and spacing');
    expect(skipped[1]!.reason).toContain('Expected Image Orientation');
    await expect(readVolume(folder)).rejects.toThrow('secondary capture');
    await writeFile(join(folder, 'slice'), ctFile(0));
    expect((await inspect(folder)).series).toHaveLength(1);
  });

  it('lists reformats and scouts as findings, and a damaged file as an error', async () => {
    const reformat = ctFile(0, { change: [{ tag: TAG.seriesDescription, vr: 'LO', value: 'AX MPR' }] });
    const scout = ctFile(0, {
      change: [{ tag: TAG.imageType, vr: 'CS', value: ['ORIGINAL', 'PRIMARY', 'LOCALIZER'] }],
    });
    await writeFile(join(folder, 'reformat'), reformat);
    await writeFile(join(folder, 'scout'), scout);
    const { series, skipped } = await inspect(folder);
    expect(series.map(({ chosen, problems }) => [chosen, problems[0]?.code])).toEqual([[false, 'not-chosen']]);
    expect(skipped[0]?.reason).toContain('localizer');
    expect((await inspect(join(folder, 'scout'))).series).toEqual([]);
    await writeFile(join(folder, 'cut'), ctFile(0).subarray(0, 400));
    await expect(inspect(join(folder, 'cut'))).rejects.toMatchObject({ code: 'truncated' });
    await writeFile(join(folder, 'text'), 'no image');
    await expect(inspect(join(folder, 'text'))).rejects.toMatchObject({ code: 'not-dicom' });
    const codes = new Map((await inspect(folder)).skipped.map(({ file, code }) => [basename(file), code]));
    expect(Object.fromEntries(codes)).toEqual({ cut: 'truncated', scout: 'unsupported', text: 'not-dicom' });
  });

  it('gives a NIfTI file from inferior to superior, whichever way it is stored', async () => {
    const { volume } = await readDicomZip(await writeZip('study.zip'));
    const [x, y, z, w] = volume.affine;
    const size = volume.rows * volume.columns;
    const data = Int16Array.from([2, 1, 0].flatMap((k) => [...volume.data.subarray(k * size, (k + 1) * size)]));
    const down = { ...volume, data, affine: [x, y, [z[0], z[1], -5, 10], w] as const };
    await writeNiftiFile(join(folder, 'up.nii'), volume);
    await writeNiftiFile(join(folder, 'down.nii'), down);
    const [up] = (await inspect(join(folder, 'up.nii'))).series;
    const [turned] = (await inspect(join(folder, 'down.nii'))).series;
    expect(up!.positions[0]).toEqual([-100, -110, 0]);
    expect([turned!.sha256, turned!.positions, turned!.orientation]).toEqual([
      up!.sha256,
      up!.positions,
      up!.orientation,
    ]);
  });
});
