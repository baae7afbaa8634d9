import { describe, expect, it } from 'vitest';

import { ImagingError } from '../../imaging-error.js';
import { encodeRle } from '../compressed-fixture.js';
import type { PixelCodec } from '../syntaxes.js';
import { decodeFrame, loadDicomCodec } from './decode-frame.js';
import { CODE_STREAMS, FIXTURE_COLUMNS, FIXTURE_ROWS, fixtureByte, fixtureSample } from './fixtures.js';
import type { DecodedFrame, FrameFormat } from './frame.js';

const FORMAT: FrameFormat = { rows: FIXTURE_ROWS, columns: FIXTURE_COLUMNS, bitsAllocated: 16 };
const picture = (sample: (i: number, j: number) => number): number[] =>
  Array.from({ length: FIXTURE_ROWS * FIXTURE_COLUMNS }, (_, k) =>
    sample(Math.floor(k / FIXTURE_COLUMNS), k % FIXTURE_COLUMNS),
  );
const EXACT = picture(fixtureSample);

async function decode(
  codec: Exclude<PixelCodec, 'native'>,
  bytes: Uint8Array,
  format: FrameFormat = FORMAT,
): Promise<DecodedFrame> {
  await loadDicomCodec(codec);
  return decodeFrame(codec, bytes, format);
}

const worst = ({ samples }: DecodedFrame, exact: readonly number[]): number =>
  samples.reduce((most, sample, k) => Math.max(most, Math.abs(sample - exact[k]!)), 0);

describe('lossless code streams of other encoders', () => {
  it.each([
    ...([1, 2, 3, 4, 5, 6, 7] as const).map((predictor) => ['jpeg', `lossless${predictor}`] as const),
    ['jpeg-ls', 'jpegls'] as const,
    ['jpeg-2000', 'j2k'] as const,
    ['htj2k', 'htj2k'] as const,
  ])('%s %s are decoded bit for bit', async (codec, name) => {
    const frame = await decode(codec, CODE_STREAMS[name]);
    expect(Array.from(frame.samples)).toEqual(EXACT);
    expect(frame.maxError).toBe(0);
  });

  it('hold 16 bits in lossless JPEG', async () => {
    const frame = await decode('jpeg', CODE_STREAMS.lossless16);
    expect(Array.from(frame.samples)).toEqual(EXACT.map((sample) => sample * 15));
  });

  it('are RLE as well', async () => {
    const samples = Uint16Array.from(EXACT, (sample, k) => (k % 100 < 40 ? 7 : sample * 13));
    expect((await decode('rle', encodeRle(samples))).samples).toEqual(samples);
  });
});

describe('lossy code streams of other encoders', () => {
  // The errors that the encoders' own decoders have, and one for rounding.
  it.each([
    ['jpeg', 'extended12', 6, undefined],
    ['jpeg-ls', 'jpegls3', 3, 3],
    ['jpeg-2000', 'j2kLossy', 85, undefined],
  ] as const)('%s %s are as near as their own decoder comes, and say so', async (codec, name, most, maxError) => {
    const frame = await decode(codec, CODE_STREAMS[name]);
    expect(worst(frame, EXACT)).toBeLessThanOrEqual(most);
    expect(frame.maxError).toBe(maxError);
  });

  it('hold 8 bits in baseline JPEG', async () => {
    const frame = await decode('jpeg', CODE_STREAMS.baseline8, { ...FORMAT, bitsAllocated: 8 });
    expect(worst(frame, picture(fixtureByte))).toBeLessThanOrEqual(1);
  });
});

describe('code streams that lie', () => {
  it.each([
    ['jpeg', 'lossless1'],
    ['jpeg', 'extended12'],
    ['jpeg-ls', 'jpegls'],
    ['jpeg-2000', 'j2k'],
    ['htj2k', 'htj2k'],
  ] as const)('%s %s of another size than the header says are refused before they are decoded', async (codec, name) => {
    await expect(decode(codec, CODE_STREAMS[name], { ...FORMAT, rows: 40_000 })).rejects.toThrow(ImagingError);
  });

  it.each([
    ['jpeg', 'lossless1'],
    ['jpeg', 'extended12'],
    ['jpeg-ls', 'jpegls'],
    ['jpeg-2000', 'j2k'],
    ['htj2k', 'htj2k'],
  ] as const)('%s %s cut in the middle are refused', async (codec, name) => {
    const stream = CODE_STREAMS[name];
    await expect(decode(codec, stream.subarray(0, stream.length >> 1))).rejects.toThrow(ImagingError);
  });

  it('JPEG-LS cut anywhere are refused at once, not after billions of bits that are not there', async () => {
    const stream = CODE_STREAMS.jpegls;
    await loadDicomCodec('jpeg-ls');
    const start = performance.now();
    for (let length = 100; length < stream.length - 2; length += 37) {
      await expect(decode('jpeg-ls', stream.subarray(0, length))).rejects.toThrow(ImagingError);
    }
    // A single one used to take ten seconds and more.
    expect(performance.now() - start).toBeLessThan(8000);
  });

  it('HTJ2K with tile parts longer than the stream, over which the decoder would not come to an end, are refused', async () => {
    const stream = CODE_STREAMS.htj2k.slice();
    const tilePart = stream.findIndex((byte, at) => byte === 0xff && stream[at + 1] === 0x90);
    stream.fill(0xff, tilePart + 6, tilePart + 10);
    await expect(decode('htj2k', stream)).rejects.toThrow('code stream');
  });

  it('do not spoil the pictures decoded after them', async () => {
    const stream = CODE_STREAMS.jpegls.slice();
    stream.fill(0xff, 60);
    await expect(decode('jpeg-ls', stream)).rejects.toThrow(ImagingError);
    expect(Array.from((await decode('jpeg-ls', CODE_STREAMS.jpegls)).samples)).toEqual(EXACT);
  });
});
