import { describe, expect, it } from 'vitest';

import { CODE_STREAMS } from './codec/fixtures.js';
import {
  COMPRESSED,
  compressedFile,
  deflatedFile,
  encapsulated,
  enhancedFile,
  fixtureHu,
} from './compressed-fixture.js';
import type { DicomAttribute } from './encode.js';
import { ctFile } from './fixture.js';
import { readDicomSeries } from './read.js';
import { readDicomSlices } from './slice.js';
import { TAG } from './tags.js';

const JPEG_LOSSLESS = '1.2.840.10008.1.2.4.70';
const stream = CODE_STREAMS.lossless1;
const read = (bytes: Uint8Array) => readDicomSeries([{ name: 'a', bytes }]);

describe('compressed files', () => {
  it.each(Object.entries(COMPRESSED))('%s are read, and a loss is reported with its figures', async (name, kind) => {
    const { volume, series } = await read(compressedFile(1, kind.syntax, [CODE_STREAMS[kind.stream]]));
    const loss = series.problems.find(({ code }) => code === 'lossy-compression');
    if (['extended12', 'jpegls3', 'j2kLossy'].includes(kind.stream)) {
      expect(loss?.message).toContain(kind.stream === 'jpegls3' ? 'off by up to 3 (NEAR 3)' : 'not bounded');
      expect(loss?.message).toMatch(/compression ratio \d+\.\d : 1/);
      expect(loss?.message).toContain(name);
    } else {
      expect(loss).toBeUndefined();
      expect(volume.data).toEqual(fixtureHu());
    }
  });

  it('may come in several fragments', async () => {
    const parts = [stream.subarray(0, 100), stream.subarray(100, 500), stream.subarray(500)];
    expect((await read(compressedFile(1, JPEG_LOSSLESS, parts))).volume.data).toEqual(fixtureHu());
  });

  it('are refused where fragments are missing, cut or absurdly long', async () => {
    const whole = compressedFile(1, JPEG_LOSSLESS, [stream]);
    for (const length of [whole.length - 500, whole.length - 20]) {
      await expect(read(whole.subarray(0, length))).rejects.toThrow(/truncated/);
    }
    await expect(read(compressedFile(1, JPEG_LOSSLESS, []))).rejects.toThrow('no fragment');
  });

  it('that tell of an earlier lossy compression are reported although they are lossless now', async () => {
    const change: DicomAttribute[] = [
      { tag: TAG.lossyCompression, vr: 'CS', value: '01' },
      { tag: TAG.lossyRatio, vr: 'DS', value: 12.5 },
    ];
    const { series } = await read(ctFile(1, { change }));
    expect(series.problems.map(({ code }) => code)).toEqual(['single-slice', 'lossy-compression']);
    expect(series.problems[1]!.message).toContain('12.5 : 1');
  });

  it('are read deflated, and bombs are refused', async () => {
    const plain = await read(ctFile(1));
    expect((await read(deflatedFile(1))).volume).toEqual(plain.volume);
    const cut = deflatedFile(1);
    await expect(read(cut.subarray(0, cut.length - 10))).rejects.toThrow(/deflated data/);
  });

  it('that cannot be decoded leave a gap that is reported, and their copy is used where there is one', async () => {
    const damaged = stream.slice();
    damaged.fill(0xff, 200, 400);
    const files = [0, 5, 10].map((z) => ({
      name: `z${z}`,
      bytes: compressedFile(z, JPEG_LOSSLESS, [z === 5 ? damaged : stream]),
    }));
    const { volume, series, skipped } = await readDicomSeries(files);
    expect([volume.slices, series.slices.length, volume.data.length]).toEqual([2, 2, 2 * 24 * 40]);
    expect(series.problems.map(({ code }) => code)).toContain('unreadable-slices');
    expect(skipped.map(({ file }) => file)).toEqual(['z5']);
    const copy = { name: 'copy', bytes: compressedFile(5, JPEG_LOSSLESS, [stream]) };
    const mended = await readDicomSeries([...files, copy]);
    expect([mended.volume.slices, mended.series.problems]).toEqual([3, []]);
  });
});

describe('enhanced multi-frame files', () => {
  it('give a slice a frame, in order of position, with the rescaling of each frame', async () => {
    const { volume, series } = await read(enhancedFile([10, 0, 5], [1, 2, 1]));
    expect(series.positions.map(([, , z]) => z)).toEqual([0, 5, 10]);
    const hu = fixtureHu();
    expect(volume.data.subarray(960)).toEqual(Int16Array.from([...hu, ...hu]));
    expect(Array.from(volume.data.subarray(0, 960))).toEqual(Array.from(hu, (value) => (value + 1000) * 2 - 1000));
    expect(series.problems.map(({ code }) => code)).toEqual(['mixed-rescale']);
    expect([series.rowSpacing, series.columnSpacing]).toEqual([0.5, 0.4]);
  });

  it('are refused where frames and functional groups differ in number', () => {
    const bytes = enhancedFile([0, 5]);
    const three = Array.from(bytes).findIndex(
      (_, at) => bytes[at] === 0x28 && bytes[at + 2] === 0x08 && bytes[at + 4] === 0x49,
    );
    bytes[three + 8] = '3'.charCodeAt(0);
    expect(() => readDicomSlices(bytes, 'a')).toThrow('3 functional groups of frames, found 2');
  });

  it('find their frames by the offset table where frames have several fragments', async () => {
    const parts = [stream.subarray(0, 500), stream.subarray(500), stream];
    const table = [0, stream.length + 16];
    const bytes = enhancedFile([0, 5]);
    const pixels = Array.from(bytes).findLastIndex((_, at) => bytes[at] === 0xe0 && bytes[at + 1] === 0x7f);
    const split = Uint8Array.from([...bytes.subarray(0, pixels), ...encapsulated(parts, table)]);
    expect((await read(split)).volume.data).toEqual(Int16Array.from([...fixtureHu(), ...fixtureHu()]));
    const lying = Uint8Array.from([...bytes.subarray(0, pixels), ...encapsulated(parts, [0, 77])]);
    await expect(read(lying)).rejects.toThrow('offset table');
  });
});
