import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { zlibSync, deflateSync } from 'fflate';

import { ImagingError } from '../imaging-error.js';
import { readDicomFolder } from '../node/dicom-folder.js';
import type { Affine, Volume } from '../volume.js';
import { placeSegmentation, readDicomSegmentation } from './segmentation-read.js';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../../../..');
const DATA = process.env['AAUNET_TEST_DATA'] ?? resolve(ROOT, '../shared/data');

type Syntax = 'implicit' | 'explicit' | 'undefined lengths' | 'deflated';
type Value = Uint8Array | readonly Attribute[][];
interface Attribute {
  readonly tag: number;
  readonly vr: string;
  readonly value: Value;
}

const text = (tag: number, vr: string, value: string): Attribute => ({
  tag,
  vr,
  value: new TextEncoder().encode(value.length % 2 === 0 ? value : `${value} `),
});
const short = (tag: number, value: number): Attribute => ({
  tag,
  vr: 'US',
  value: Uint8Array.of(value & 255, value >> 8),
});
const sequence = (tag: number, ...items: Attribute[][]): Attribute => ({ tag, vr: 'SQ', value: items });

/** Attributes in one of the ways that files have them. */
function encode(attributes: readonly Attribute[], syntax: Syntax): number[] {
  return attributes.flatMap(({ tag, vr, value }) => {
    const isSequence = !(value instanceof Uint8Array);
    const open = syntax === 'undefined lengths' && isSequence;
    const body = isSequence
      ? [...value.flatMap((item) => encodeItem(item, syntax)), ...(open ? [...tagBytes(0xfffee0dd), 0, 0, 0, 0] : [])]
      : [...value];
    const length = open ? [255, 255, 255, 255] : uint32(body.length);
    if (syntax === 'implicit') return [...tagBytes(tag), ...length, ...body];
    const long = ['SQ', 'OB', 'OW'].includes(vr);
    const letters = [vr.charCodeAt(0), vr.charCodeAt(1)];
    return [...tagBytes(tag), ...letters, ...(long ? [0, 0, ...length] : length.slice(0, 2)), ...body];
  });
}

function encodeItem(item: readonly Attribute[], syntax: Syntax): number[] {
  const body = encode(item, syntax);
  if (syntax !== 'undefined lengths') return [...tagBytes(0xfffee000), ...uint32(body.length), ...body];
  return [...tagBytes(0xfffee000), 255, 255, 255, 255, ...body, ...tagBytes(0xfffee00d), 0, 0, 0, 0];
}

const uint32 = (value: number): number[] => [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255];
const tagBytes = (tag: number): number[] => [(tag >> 16) & 255, (tag >>> 24) & 255, tag & 255, (tag >> 8) & 255];

const UIDS: Readonly<Record<Syntax, string>> = {
  implicit: '1.2.840.10008.1.2',
  explicit: '1.2.840.10008.1.2.1',
  'undefined lengths': '1.2.840.10008.1.2.1',
  deflated: '1.2.840.10008.1.2.1.99',
};

interface SegOptions {
  readonly rows: number;
  readonly columns: number;
  /** Per frame: segment, position (LPS), pixels. */
  readonly frames: readonly { segment: number; position: readonly number[]; pixels: readonly number[] }[];
  readonly segments?: readonly string[];
  readonly type?: 'BINARY' | 'FRACTIONAL' | 'LABELMAP';
  readonly orientation?: string;
  readonly syntax?: Syntax;
}

/** A SEG object; bits are packed as the standard says, across frames. */
function segFile(options: SegOptions): Uint8Array {
  const { rows, columns, frames, type = 'BINARY', syntax = 'explicit', segments = ['A', 'B', 'C'] } = options;
  const values = frames.flatMap(({ pixels }) => pixels);
  const packed = new Uint8Array(type === 'BINARY' ? Math.ceil(values.length / 8) : values.length);
  values.forEach((value, bit) => {
    if (type === 'BINARY') packed[bit >> 3]! |= value << (bit & 7);
    else packed[bit] = value;
  });
  const dataset = encode(
    [
      text(0x00080005, 'CS', 'ISO_IR 192'),
      text(0x00080016, 'UI', '1.2.840.10008.5.1.4.1.1.66.4'),
      text(0x00280008, 'IS', String(frames.length)),
      short(0x00280010, rows),
      short(0x00280011, columns),
      short(0x00280100, type === 'BINARY' ? 1 : 8),
      text(0x00620001, 'CS', type),
      sequence(0x00620002, ...segments.map((label, i) => [short(0x00620004, i + 1), text(0x00620005, 'LO', label)])),
      ...(type === 'FRACTIONAL' ? [short(0x0062000e, 100)] : []),
      sequence(0x52009229, [
        sequence(0x00209116, [text(0x00200037, 'DS', options.orientation ?? '1\\0\\0\\0\\1\\0')]),
        sequence(0x00289110, [text(0x00280030, 'DS', '0.5\\0.4')]),
      ]),
      sequence(
        0x52009230,
        ...frames.map(({ segment, position }) => [
          sequence(0x00209113, [text(0x00200032, 'DS', position.join('\\'))]),
          sequence(0x0062000a, [short(0x0062000b, segment)]),
        ]),
      ),
      { tag: 0x7fe00010, vr: 'OB', value: packed.length % 2 === 0 ? packed : Uint8Array.from([...packed, 0]) },
    ],
    syntax,
  );
  const meta = encode([text(0x00020010, 'UI', UIDS[syntax])], 'explicit');
  const body = syntax === 'deflated' ? deflateSync(Uint8Array.from(dataset)) : dataset;
  return Uint8Array.from([...new Uint8Array(128), 0x44, 0x49, 0x43, 0x4d, ...meta, ...body]);
}

/** 3 columns, 2 rows, 4 slices; LPS origin (10, 20, 30). */
const AFFINE: Affine = [
  [-0.4, 0, 0, -10],
  [0, -0.5, 0, -20],
  [0, 0, 5, 30],
  [0, 0, 0, 1],
];
const SCAN: Volume<Int16Array> = { data: new Int16Array(24), columns: 3, rows: 2, slices: 4, affine: AFFINE };
const byNumber = ({ number }: { number: number }): number => number;

describe.each(['implicit', 'explicit', 'undefined lengths', 'deflated'] as const)('DICOM SEG, %s', (syntax) => {
  it('unpacks bits across frames and places each where its slice is', () => {
    const frames = [
      { segment: 1, position: [10, 20, 40], pixels: [1, 0, 0, 0, 0, 1] },
      { segment: 2, position: [10, 20, 30], pixels: [0, 1, 1, 0, 0, 0] },
      { segment: 1, position: [10, 20, 45], pixels: [0, 0, 0, 1, 1, 1] },
    ];
    const read = readDicomSegmentation(segFile({ rows: 2, columns: 3, frames, syntax }));
    expect(read.segments).toEqual([
      { number: 1, label: 'A' },
      { number: 2, label: 'B' },
      { number: 3, label: 'C' },
    ]);
    const { labels, overlaps, empty } = placeSegmentation(read, SCAN, byNumber, 8);
    expect([...labels.data]).toEqual([0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1]);
    expect([overlaps, empty.map(({ label }) => label)]).toEqual([0, ['C']]);
    expect(labels.affine).toEqual(AFFINE);
  });
});

describe('placing a DICOM SEG', () => {
  const place = (options: Partial<SegOptions> & Pick<SegOptions, 'frames'>, scan = SCAN): number[] => [
    ...placeSegmentation(readDicomSegmentation(segFile({ rows: 2, columns: 3, ...options })), scan, byNumber, 8).labels
      .data,
  ];

  it('keeps a part of the field of view in its place, and turns what is stored the other way round', () => {
    const crop = { rows: 1, columns: 2, frames: [{ segment: 3, position: [10.4, 20.5, 30], pixels: [1, 1] }] };
    expect(place(crop).slice(0, 6)).toEqual([0, 0, 0, 0, 3, 3]);
    // From the patient's left to right: begins at the last column.
    const turned = {
      orientation: '-1\\0\\0\\0\\1\\0',
      frames: [{ segment: 1, position: [10.8, 20, 30], pixels: [1, 0, 0, 0, 0, 0] }],
    };
    expect(place(turned).slice(0, 6)).toEqual([0, 0, 1, 0, 0, 0]);
  });

  it('gives voxels of two types the label for that, and counts them', () => {
    const frames = [1, 2].map((segment) => ({ segment, position: [10, 20, 30], pixels: [segment - 1, 1, 0, 0, 0, 0] }));
    expect(place({ frames }).slice(0, 3)).toEqual([2, 8, 0]);
    // Two segments of one type do not contradict each other.
    const one = placeSegmentation(readDicomSegmentation(segFile({ rows: 2, columns: 3, frames })), SCAN, () => 4, 8);
    expect([one.overlaps, ...one.labels.data.slice(0, 3)]).toEqual([0, 4, 4, 0]);
  });

  it('takes a half and more of a fractional segment, and a label map by its values', () => {
    const position = [10, 20, 30];
    expect(
      place({ type: 'FRACTIONAL', frames: [{ segment: 1, position, pixels: [0, 49, 50, 100, 0, 0] }] }).slice(0, 6),
    ).toEqual([0, 0, 1, 1, 0, 0]);
    expect(
      place({ type: 'LABELMAP', frames: [{ segment: 0, position, pixels: [0, 1, 2, 3, 0, 9] }] }).slice(0, 6),
    ).toEqual([0, 1, 2, 3, 0, 0]);
  });

  it('finds the slices of an uneven stack by their true places', () => {
    const positions = [30, 34, 45, 50].map((z) => [10, 20, z] as const);
    const uneven = {
      ...SCAN,
      positions,
      affine: [AFFINE[0], AFFINE[1], [0, 0, 20 / 3, 30], AFFINE[3]] as unknown as Affine,
    };
    const frames = positions.map((position, k) => ({
      segment: 1,
      position,
      pixels: [0, 1, 2, 3, 4, 5].map((i) => +(i === k)),
    }));
    const found = place({ frames }, uneven);
    expect(found.flatMap((value, index) => (value === 1 ? [index] : []))).toEqual([0, 7, 14, 21]);
    expect(() => place({ frames: [{ ...frames[0]!, position: [10, 20, 39] }] }, uneven)).toThrow('voxels beside them');
  });

  it('refuses frames between the voxels or outside of the scan, but not empty ones', () => {
    const at = (position: number[], pixel = 1) =>
      place({ frames: [{ segment: 1, position, pixels: [pixel, 0, 0, 0, 0, 0] }] });
    expect(() => at([10, 20, 32.5])).toThrow('0.50 voxels beside them');
    expect(() => at([10.2, 20, 30])).toThrow('voxels beside them');
    expect(() => at([10, 20, 100])).toThrow('of different scans');
    expect(at([10, 20, 100], 0).every((value) => value === 0)).toBe(true);
  });

  it('reads names of segments in the character set of the object that holds them', () => {
    const { segments } = readDicomSegmentation(segFile({ rows: 1, columns: 1, frames: [], segments: ['Hämatö'] }));
    expect(segments.map(({ label }) => label)).toEqual(['Hämatö']);
  });

  it('has no voxel where there are no frames at all', () => {
    expect(place({ frames: [] }).every((value) => value === 0)).toBe(true);
  });
});

describe('hostile DICOM SEG', () => {
  it('is answered with a segmentation or an ImagingError, whatever is damaged', () => {
    const frames = [{ segment: 1, position: [10, 20, 30], pixels: [1, 0, 1, 0, 1, 0] }];
    const files = (['implicit', 'explicit', 'undefined lengths', 'deflated'] as const).map((syntax) =>
      segFile({ rows: 2, columns: 3, frames, syntax }),
    );
    const edits = fc.array(fc.tuple(fc.double({ min: 0, max: 0.9999, noNaN: true }), fc.nat(255)), {
      minLength: 1,
      maxLength: 3,
    });
    const cuts = fc.oneof(
      { arbitrary: fc.constant(null), weight: 3 },
      { arbitrary: fc.double({ min: 0, max: 1, noNaN: true }), weight: 1 },
    );
    let read = 0;
    fc.assert(
      fc.property(fc.nat(3), edits, cuts, (which, changes, cut) => {
        const bytes = files[which]!.slice();
        for (const [place, value] of changes) bytes[132 + Math.floor(place * (bytes.length - 132))] = value;
        try {
          const found = readDicomSegmentation(cut === null ? bytes : bytes.subarray(0, Math.floor(cut * bytes.length)));
          placeSegmentation(found, SCAN, byNumber, 8);
          read++;
        } catch (error) {
          if (!(error instanceof ImagingError)) throw error;
        }
      }),
      { numRuns: 3000 },
    );
    expect(read).toBeGreaterThan(10);
  });

  it('refuses compressed pixels, other objects, bottomless sequences and files that are none', () => {
    expect(() => readDicomSegmentation(new Uint8Array(10))).toThrow('DICM');
    const ct = segFile({ rows: 1, columns: 1, frames: [] });
    const text = new TextDecoder('latin1').decode(ct);
    ct[text.indexOf('.66.4') + 4] = '9'.charCodeAt(0);
    expect(() => readDicomSegmentation(ct)).toThrow('Expected a DICOM SEG object');
    const packed = segFile({ rows: 1, columns: 1, frames: [] });
    const rle = new TextDecoder('latin1').decode(packed);
    packed[rle.indexOf('1.2.840.10008.1.2.1') + 18] = '5'.charCodeAt(0);
    const pixels = rle.lastIndexOf('OB', rle.length);
    packed.set([0, 0, 255, 255, 255, 255], pixels + 2);
    const fragments = Uint8Array.from([...packed.subarray(0, pixels + 8), ...tagBytes(0xfffee0dd), 0, 0, 0, 0]);
    expect(() => readDicomSegmentation(fragments)).toThrow('Expected uncompressed pixels');
    const nested = Array.from({ length: 40 }, () => [
      ...tagBytes(0x00620002),
      83,
      81,
      0,
      0,
      255,
      255,
      255,
      255,
      ...tagBytes(0xfffee000),
      255,
      255,
      255,
      255,
    ]);
    const head = segFile({ rows: 1, columns: 1, frames: [] }).subarray(0, 132 + 8 + 20);
    expect(() => readDicomSegmentation(Uint8Array.from([...head, ...nested.flat()]))).toThrow('nested up to 16 deep');
    expect(() => readDicomSegmentation(zlibSync(head))).toThrow(ImagingError);
  });
});

describe.skipIf(!existsSync(join(DATA, 'dicom-seg')))('real DICOM SEG objects', () => {
  const read = (name: string) => readDicomSegmentation(readFileSync(join(DATA, 'dicom-seg', name)));

  it('with one segment covers the voxels of its source images that an independent reader counts', async () => {
    const { volume } = await readDicomFolder(join(DATA, 'dicom-seg', 'ct-3slice'));
    const { labels } = placeSegmentation(read('liver.dcm'), volume, byNumber, 8);
    const size = volume.rows * volume.columns;
    const perSlice = [0, 1, 2].map((k) =>
      labels.data.subarray(k * size, (k + 1) * size).reduce((sum, v) => sum + v, 0),
    );
    expect(perSlice).toEqual([36233, 35645, 35220]);
  });

  it('with overlapping segments has them all, and leaves the type of the overlap open', async () => {
    const { volume } = await readDicomFolder(join(DATA, 'dicom-seg', 'ct-3slice'));
    const segmentation = read('partial_overlaps.dcm');
    expect(segmentation.segments.map(({ label }) => label)).toEqual([
      'GREEN',
      'ORANGE',
      'PURPLE',
      'LIGHT_BLUE',
      'DARK_BLUE',
    ]);
    const { labels, overlaps } = placeSegmentation(segmentation, volume, byNumber, 8);
    const size = volume.rows * volume.columns;
    const claims = new Map<number, Set<number>>();
    segmentation.frames.forEach(({ segment, position }, f) => {
      const k = Math.round(position[2] + 128.69);
      segmentation.pixels(f).forEach((value, index) => {
        if (value === 0) return;
        const at = k * size + index;
        claims.set(at, (claims.get(at) ?? new Set()).add(segment!));
      });
    });
    for (const [at, segments] of claims) {
      if (labels.data[at] !== (segments.size > 1 ? 8 : [...segments][0])) throw new Error(`Voxel ${at} is wrong.`);
    }
    expect(overlaps).toBe([...claims.values()].filter(({ size: claimed }) => claimed > 1).length);
    expect(labels.data.filter((label) => label !== 0)).toHaveLength(claims.size);
  });

  it('of sizes that are no multiples of 8 is unpacked bit by bit', () => {
    const { rows, columns, frames, pixels } = read('24x38x3/seg/label.seg');
    expect([columns, rows, frames.length]).toEqual([24, 38, 3]);
    expect([0, 1, 2].map((f) => [...pixels(f)].filter((value) => value !== 0).length)).toEqual([0, 315, 0]);
  });
});
