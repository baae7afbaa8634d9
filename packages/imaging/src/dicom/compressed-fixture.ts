/** Compressed, deflated and multi-frame CT files for tests, made from the plain ones of `fixture.ts`. */
import { deflateSync } from 'fflate';

import { CODE_STREAMS, FIXTURE_COLUMNS, FIXTURE_ROWS, fixtureSample } from './codec/fixtures.js';
import { encodeAttributes, type DicomAttribute } from './encode.js';
import { ctFile, type FixtureOptions } from './fixture.js';
import { DEFLATED, EXPLICIT_LITTLE } from './syntaxes.js';
import { ENHANCED_CT_IMAGE_STORAGE, TAG } from './tags.js';

const UNDEFINED = [0xff, 0xff, 0xff, 0xff];
const ITEM = [0xfe, 0xff, 0x00, 0xe0];
const SEQUENCE_END = [0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];

const uint32 = (value: number): number[] => [...new Uint8Array(Uint32Array.of(value).buffer)];
const tagBytes = (tag: number): number[] => [(tag >>> 16) & 255, tag >>> 24, tag & 255, (tag >>> 8) & 255];
const item = (bytes: ArrayLike<number>): number[] => [
  ...ITEM,
  ...uint32(bytes.length + (bytes.length % 2)),
  ...Array.from(bytes),
  ...(bytes.length % 2 === 1 ? [0] : []),
];

/** Encapsulated pixel data of explicit VR little endian: an offset table, then fragments. */
export function encapsulated(fragments: readonly Uint8Array[], table: readonly number[] = []): Uint8Array {
  return Uint8Array.from([
    ...tagBytes(TAG.pixelData),
    ...Array.from('OB', (letter) => letter.charCodeAt(0)),
    ...[0, 0, ...UNDEFINED],
    ...item(table.flatMap(uint32)),
    ...fragments.flatMap((fragment) => item(fragment)),
    ...SEQUENCE_END,
  ]);
}

/** A sequence of explicit VR little endian. */
export function sequence(tag: number, items: readonly Uint8Array[]): Uint8Array {
  const body = items.flatMap((bytes) => item(bytes));
  return Uint8Array.from([
    ...tagBytes(tag),
    ...Array.from('SQ', (letter) => letter.charCodeAt(0)),
    ...[0, 0, ...uint32(body.length)],
    ...body,
  ]);
}

const us = (tag: number, value: number): DicomAttribute => ({ tag, vr: 'US', value });

/** Transfer syntaxes and the code streams to go with them. */
export const COMPRESSED: Readonly<
  Record<string, { readonly syntax: string; readonly stream: keyof typeof CODE_STREAMS }>
> = {
  'JPEG extended': { syntax: '1.2.840.10008.1.2.4.51', stream: 'extended12' },
  'JPEG lossless': { syntax: '1.2.840.10008.1.2.4.57', stream: 'lossless6' },
  'JPEG lossless SV1': { syntax: '1.2.840.10008.1.2.4.70', stream: 'lossless1' },
  'JPEG-LS': { syntax: '1.2.840.10008.1.2.4.80', stream: 'jpegls' },
  'JPEG-LS near-lossless': { syntax: '1.2.840.10008.1.2.4.81', stream: 'jpegls3' },
  'JPEG 2000 lossless': { syntax: '1.2.840.10008.1.2.4.90', stream: 'j2k' },
  'JPEG 2000': { syntax: '1.2.840.10008.1.2.4.91', stream: 'j2kLossy' },
  HTJ2K: { syntax: '1.2.840.10008.1.2.4.201', stream: 'htj2k' },
};

/** A slice of the fixture picture, encapsulated as `fragments`. */
export function compressedFile(
  z: number,
  syntax: string,
  fragments: readonly Uint8Array[],
  options: FixtureOptions = {},
): Uint8Array {
  const { change = [] } = options;
  return ctFile(z, {
    ...options,
    syntax,
    change: [us(TAG.rows, FIXTURE_ROWS), us(TAG.columns, FIXTURE_COLUMNS), ...change, TAG.pixelData],
    raw: encapsulated(fragments),
  });
}

/** HU of the fixture picture under the rescaling of `fixture.ts`. */
export function fixtureHu(): Int16Array {
  return Int16Array.from(
    { length: FIXTURE_ROWS * FIXTURE_COLUMNS },
    (_, k) => fixtureSample(Math.floor(k / FIXTURE_COLUMNS), k % FIXTURE_COLUMNS) - 1000,
  );
}

/** DICOM's RLE of 16-bit samples, literal runs and repeats. */
export function encodeRle(samples: Uint16Array): Uint8Array {
  const segments = [8, 0].map((shift) => packBits(Uint8Array.from(samples, (sample) => sample >> shift)));
  const header = new Uint32Array(16);
  header.set([2, 64, 64 + segments[0]!.length]);
  return Uint8Array.from([...new Uint8Array(header.buffer), ...segments[0]!, ...segments[1]!]);
}

function packBits(bytes: Uint8Array): number[] {
  const out: number[] = [];
  for (let at = 0; at < bytes.length;) {
    let run = 1;
    while (run < 128 && bytes[at + run] === bytes[at] && at + run < bytes.length) run++;
    if (run > 1) out.push(257 - run, bytes[at]!);
    else out.push(0, bytes[at]!);
    at += run;
  }
  if (out.length % 2 === 1) out.push(128);
  return out;
}

/** The plain file with its data set deflated. */
export function deflatedFile(z: number): Uint8Array {
  const plain = ctFile(z, { preamble: false });
  const meta = encodeAttributes([{ tag: TAG.transferSyntaxUid, vr: 'UI', value: DEFLATED }]);
  return Uint8Array.from([...new Uint8Array(128), ...[0x44, 0x49, 0x43, 0x4d], ...meta, ...deflateSync(plain)]);
}

/** An enhanced multi-frame CT of the fixture picture: a frame for each z, compressed with loss or not at all. */
export function enhancedFile(places: readonly number[], slopes: readonly number[] = places.map(() => 1)): Uint8Array {
  const shared = [
    sequence(TAG.framePixelMeasures, [
      encodeAttributes([
        { tag: TAG.sliceThickness, vr: 'DS', value: 5 },
        { tag: TAG.pixelSpacing, vr: 'DS', value: [0.5, 0.4] },
      ]),
    ]),
    sequence(TAG.framePlaneOrientation, [
      encodeAttributes([{ tag: TAG.imageOrientation, vr: 'DS', value: [1, 0, 0, 0, 1, 0] }]),
    ]),
  ];
  const frames = places.map((z, k) =>
    join([
      sequence(TAG.framePlanePosition, [
        encodeAttributes([{ tag: TAG.imagePosition, vr: 'DS', value: [-100, -110, z] }]),
      ]),
      sequence(TAG.framePixelTransformation, [
        encodeAttributes([
          { tag: TAG.rescaleIntercept, vr: 'DS', value: -1000 },
          { tag: TAG.rescaleSlope, vr: 'DS', value: slopes[k]! },
        ]),
      ]),
    ]),
  );
  const top = [TAG.pixelSpacing, TAG.imageOrientation, TAG.imagePosition, TAG.rescaleSlope, TAG.rescaleIntercept];
  return ctFile(0, {
    syntax: '1.2.840.10008.1.2.4.70',
    change: [
      us(TAG.rows, FIXTURE_ROWS),
      us(TAG.columns, FIXTURE_COLUMNS),
      { tag: TAG.sopClassUid, vr: 'UI', value: ENHANCED_CT_IMAGE_STORAGE },
      { tag: TAG.numberOfFrames, vr: 'IS', value: places.length },
      ...top,
      TAG.sliceThickness,
      TAG.pixelData,
    ],
    raw: join([
      sequence(TAG.sharedFunctionalGroups, [join(shared)]),
      sequence(TAG.perFrameFunctionalGroups, frames),
      encapsulated(places.map(() => CODE_STREAMS.lossless1)),
    ]),
  });
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** Every kind of file that the reader takes, by name. */
export function everyKind(): ReadonlyMap<string, Uint8Array> {
  const hu = fixtureHu();
  const stored = Uint16Array.from(hu, (value) => value + 1000);
  return new Map<string, Uint8Array>([
    ['plain', ctFile(1, { syntax: EXPLICIT_LITTLE })],
    ['implicit', ctFile(1, { syntax: '1.2.840.10008.1.2' })],
    ['big endian', ctFile(1, { syntax: '1.2.840.10008.1.2.2' })],
    ['deflated', deflatedFile(1)],
    ['enhanced', enhancedFile([0, 5, 10])],
    ['RLE', compressedFile(1, '1.2.840.10008.1.2.5', [encodeRle(stored)])],
    ...Object.entries(COMPRESSED).map(
      ([name, { syntax, stream }]) => [name, compressedFile(1, syntax, [CODE_STREAMS[stream]])] as const,
    ),
  ]);
}
