import { ImagingError } from '../imaging-error.js';
import { LABELS } from '../labels.js';
import { sha256, toHex } from '../sha256.js';
import type { Volume } from '../volume.js';
import { codeSequence, encodeDicomFile, type NestedAttribute } from './encode-nested.js';
import { FINDING_CODES } from './finding-codes.js';
import {
  commonAttributes,
  frameOfReference,
  sourceInstance,
  sourceReferences,
  trackingUid,
  type DicomResult,
  type ResultMaker,
  type ResultSource,
} from './result.js';
import { SEGMENTATION_STORAGE } from './tags.js';
import { uidFromSeed } from './uid.js';

/** Bits and frames of a segmentation. */
interface Frames {
  /** Segment number (label) and slice of each frame, in the order of the pixels. */
  readonly places: readonly { readonly segment: number; readonly slice: number }[];
  readonly pixels: Uint8Array;
}

/**
 * A label map as a DICOM Segmentation with one bit a voxel: all seven segments are declared, and those voxels that have
 * labels get frames, each with its own plane position and its source slice, so that tilt and uneven steps stay as they are.
 * The same input and maker give the same UIDs.
 *
 * @param labels labels 0 to 7 in the geometry of the series: slices inferior to superior, rows and columns as stored
 * @throws ImagingError if the label map's size is not the series', or a label is unknown
 */
export function writeDicomSegmentation(
  labels: Volume<Uint8Array>,
  source: ResultSource,
  maker: ResultMaker,
): DicomResult {
  checkSize(labels, source);
  const unknown = labels.data.find((label) => label > LABELS.length);
  if (unknown !== undefined) {
    throw new ImagingError('bad-argument', `Expected labels 0 to ${LABELS.length}, found ${unknown}.`);
  }
  return encode('BINARY', binaryFrames(labels), toHex(sha256(labels.data)), source, maker);
}

/**
 * Probabilities of the seven types as a DICOM Segmentation of the fractional kind, with 255 steps of probability.
 *
 * @param probabilities of each label from 1 to 7 in turn, 0 to 255, in the geometry of the series
 * @throws ImagingError if there are not seven of the series' size
 */
export function writeFractionalSegmentation(
  probabilities: readonly Volume<Uint8Array>[],
  source: ResultSource,
  maker: ResultMaker,
): DicomResult {
  if (probabilities.length !== LABELS.length) {
    throw new ImagingError(
      'bad-argument',
      `Expected probabilities of ${LABELS.length} types, found ${probabilities.length}.`,
    );
  }
  for (const volume of probabilities) checkSize(volume, source);
  const digest = toHex(sha256(Uint8Array.from(probabilities.flatMap(({ data }) => [...sha256(data)]))));
  return encode('FRACTIONAL', fractionalFrames(probabilities), digest, source, maker);
}

function checkSize(volume: Volume, { series }: ResultSource): void {
  const { slices, rows, columns, data } = volume;
  const fits = slices === series.slices.length && rows === series.rows && columns === series.columns;
  if (!fits || data.length !== slices * rows * columns) {
    throw new ImagingError(
      'bad-argument',
      `Expected a label map of ${series.columns} x ${series.rows} x ${series.slices.length} voxels like the series, found ${columns} x ${rows} x ${slices}.`,
    );
  }
}

function binaryFrames({ data, slices, rows, columns }: Volume<Uint8Array>): Frames {
  const plane = rows * columns;
  const places = LABELS.flatMap(({ id }) =>
    Array.from({ length: slices }, (_, slice) => ({ segment: id, slice })).filter(({ segment, slice }) =>
      data.subarray(slice * plane, (slice + 1) * plane).includes(segment),
    ),
  );
  // An object without frames is no image: where nothing was found one empty frame says so.
  if (places.length === 0) places.push({ segment: 1, slice: 0 });
  const pixels = new Uint8Array(Math.ceil((places.length * plane) / 8));
  let bit = 0;
  for (const { segment, slice } of places) {
    for (let voxel = slice * plane; voxel < (slice + 1) * plane; voxel++, bit++) {
      if (data[voxel] === segment) pixels[bit >> 3]! |= 1 << (bit & 7);
    }
  }
  return { places, pixels };
}

function fractionalFrames(probabilities: readonly Volume<Uint8Array>[]): Frames {
  const { slices, rows, columns } = probabilities[0]!;
  const plane = rows * columns;
  const frameOf = (segment: number, slice: number): Uint8Array =>
    probabilities[segment - 1]!.data.subarray(slice * plane, (slice + 1) * plane);
  const places = LABELS.flatMap(({ id }) =>
    Array.from({ length: slices }, (_, slice) => ({ segment: id, slice })).filter(({ segment, slice }) =>
      frameOf(segment, slice).some((probability) => probability > 0),
    ),
  );
  if (places.length === 0) places.push({ segment: 1, slice: 0 });
  const pixels = new Uint8Array(places.length * plane);
  places.forEach(({ segment, slice }, frame) => {
    pixels.set(frameOf(segment, slice), frame * plane);
  });
  return { places, pixels };
}

function encode(
  kind: 'BINARY' | 'FRACTIONAL',
  { places, pixels }: Frames,
  digest: string,
  source: ResultSource,
  maker: ResultMaker,
): DicomResult {
  const { series, header } = source;
  const seed = `${series.uid}/${maker.weights}/${maker.software}/${kind}/${digest}`;
  const sopInstanceUid = uidFromSeed(`${seed}/instance`);
  const seriesUid = uidFromSeed(`${seed}/series`);
  const bits = kind === 'BINARY' ? 1 : 8;
  const attributes: NestedAttribute[] = [
    ...commonAttributes(source, maker),
    { tag: 0x00080008, vr: 'CS', value: ['DERIVED', 'PRIMARY'] },
    { tag: 0x00080016, vr: 'UI', value: SEGMENTATION_STORAGE },
    { tag: 0x00080018, vr: 'UI', value: sopInstanceUid },
    { tag: 0x00080060, vr: 'CS', value: 'SEG' },
    {
      tag: 0x0008103e,
      vr: 'LO',
      value: `Intracranial hemorrhage${kind === 'BINARY' ? '' : ' probability'}, research use only`,
    },
    sourceReferences(source),
    { tag: 0x0020000e, vr: 'UI', value: seriesUid },
    { tag: 0x00200011, vr: 'IS', value: kind === 'BINARY' ? 9001 : 9002 },
    { tag: 0x00200013, vr: 'IS', value: 1 },
    { tag: 0x00200052, vr: 'UI', value: frameOfReference(source) },
    header.positionReference,
    ...dimensions(seed),
    { tag: 0x00280002, vr: 'US', value: 1 },
    { tag: 0x00280004, vr: 'CS', value: 'MONOCHROME2' },
    { tag: 0x00280008, vr: 'IS', value: places.length },
    { tag: 0x00280010, vr: 'US', value: series.rows },
    { tag: 0x00280011, vr: 'US', value: series.columns },
    { tag: 0x00280100, vr: 'US', value: bits },
    { tag: 0x00280101, vr: 'US', value: bits },
    { tag: 0x00280102, vr: 'US', value: bits - 1 },
    { tag: 0x00280103, vr: 'US', value: 0 },
    ...header.lossy,
    { tag: 0x00620001, vr: 'CS', value: kind },
    segments(maker, sopInstanceUid),
    ...(kind === 'FRACTIONAL'
      ? ([
          { tag: 0x0062000e, vr: 'US', value: 255 },
          { tag: 0x00620010, vr: 'CS', value: 'PROBABILITY' },
        ] as const)
      : ([{ tag: 0x00620013, vr: 'CS', value: 'NO' }] as const)),
    { tag: 0x00700080, vr: 'CS', value: 'HEMORRHAGE' },
    { tag: 0x00700081, vr: 'LO', value: maker.notice.slice(0, 64) },
    { tag: 0x00700084, vr: 'PN', value: '' },
    { tag: 0x52009229, vr: 'SQ', items: [sharedGroups(source)] },
    { tag: 0x52009230, vr: 'SQ', items: places.map((place) => frameGroups(place, source)) },
    { tag: 0x7fe00010, vr: 'OB', value: pixels },
  ];
  return { bytes: encodeDicomFile(attributes), sopClassUid: SEGMENTATION_STORAGE, sopInstanceUid, seriesUid };
}

/** Frames are ordered by segment, then by place. */
function dimensions(seed: string): NestedAttribute[] {
  const organization: NestedAttribute = { tag: 0x00209164, vr: 'UI', value: uidFromSeed(`${seed}/dimensions`) };
  const index = (pointer: number, functionalGroup: number, description: string): NestedAttribute[] => [
    organization,
    { tag: 0x00209165, vr: 'AT', value: pointer },
    { tag: 0x00209167, vr: 'AT', value: functionalGroup },
    { tag: 0x00209421, vr: 'LO', value: description },
  ];
  return [
    { tag: 0x00209221, vr: 'SQ', items: [[organization]] },
    {
      tag: 0x00209222,
      vr: 'SQ',
      items: [
        index(0x0062000b, 0x0062000a, 'Referenced Segment Number'),
        index(0x00200032, 0x00209113, 'Image Position Patient'),
      ],
    },
  ];
}

function segments(maker: ResultMaker, sopInstanceUid: string): NestedAttribute {
  const method = maker.method ?? 'AUTOMATIC';
  return {
    tag: 0x00620002,
    vr: 'SQ',
    items: LABELS.map(({ id, name, title, color }): NestedAttribute[] => {
      const codes = FINDING_CODES[name];
      return [
        codeSequence(0x00082218, codes.region),
        codeSequence(0x00620003, codes.category),
        { tag: 0x00620004, vr: 'US', value: id },
        { tag: 0x00620005, vr: 'LO', value: name },
        { tag: 0x00620006, vr: 'ST', value: `${title}. ${maker.notice}` },
        { tag: 0x00620008, vr: 'CS', value: method },
        ...(method === 'MANUAL'
          ? []
          : [{ tag: 0x00620009, vr: 'LO', value: maker.algorithm.slice(0, 64) } satisfies NestedAttribute]),
        { tag: 0x0062000d, vr: 'US', value: cieLab(color) },
        {
          tag: 0x0062000f,
          vr: 'SQ',
          items: [
            [
              { tag: 0x00080100, vr: 'SH', value: codes.type.value },
              { tag: 0x00080102, vr: 'SH', value: codes.type.scheme },
              { tag: 0x00080104, vr: 'LO', value: codes.type.meaning },
              ...(codes.modifier ? [codeSequence(0x00620011, codes.modifier)] : []),
            ],
          ],
        },
        { tag: 0x00620020, vr: 'UT', value: name },
        { tag: 0x00620021, vr: 'UI', value: trackingUid(sopInstanceUid, id) },
      ];
    }),
  };
}

function measures({ series }: ResultSource, thickness: number, spacing?: number): NestedAttribute {
  return {
    tag: 0x00289110,
    vr: 'SQ',
    items: [
      [
        { tag: 0x00180050, vr: 'DS', value: thickness },
        ...(spacing === undefined ? [] : ([{ tag: 0x00180088, vr: 'DS', value: spacing }] as const)),
        { tag: 0x00280030, vr: 'DS', value: [series.rowSpacing, series.columnSpacing] },
      ],
    ],
  };
}

/** What all frames have in common: the orientation, and where slices are even their extent. */
function sharedGroups(source: ResultSource): NestedAttribute[] {
  const { orientation, extents, stepMm, tiltDegrees } = source.series;
  const step = stepMm.median * Math.cos((tiltDegrees * Math.PI) / 180);
  return [
    { tag: 0x00209116, vr: 'SQ', items: [[{ tag: 0x00200037, vr: 'DS', value: [...orientation] }]] },
    ...(extents ? [] : [measures(source, step, step)]),
  ];
}

function frameGroups(
  { segment, slice }: { readonly segment: number; readonly slice: number },
  source: ResultSource,
): NestedAttribute[] {
  const { positions, slices, extents } = source.series;
  const { sopInstanceUid, frame } = slices[slice]!;
  const isMultiFrame = slices.filter((other) => other.sopInstanceUid === sopInstanceUid).length > 1;
  const origin: NestedAttribute[] = [
    ...sourceInstance(sopInstanceUid, source.header),
    ...(isMultiFrame ? [{ tag: 0x00081160, vr: 'IS', value: frame + 1 } as const] : []),
    codeSequence(0x0040a170, {
      value: '121322',
      scheme: 'DCM',
      meaning: 'Source image for image processing operation',
    }),
  ];
  return [
    {
      tag: 0x00089124,
      vr: 'SQ',
      items: [
        [
          { tag: 0x00082112, vr: 'SQ', items: [origin] },
          codeSequence(0x00089215, { value: '113076', scheme: 'DCM', meaning: 'Segmentation' }),
        ],
      ],
    },
    { tag: 0x00209111, vr: 'SQ', items: [[{ tag: 0x00209157, vr: 'UL', value: [segment, slice + 1] }]] },
    { tag: 0x00209113, vr: 'SQ', items: [[{ tag: 0x00200032, vr: 'DS', value: [...positions[slice]!] }]] },
    ...(extents ? [measures(source, extents[slice]!)] : []),
    { tag: 0x0062000a, vr: 'SQ', items: [[{ tag: 0x0062000b, vr: 'US', value: segment }]] },
  ];
}

/** An sRGB colour (0 to 255) as DICOM's CIELab: L* 0..100, a* and b* -128..127, each over 0..65535. D65 white. */
function cieLab(color: readonly [number, number, number]): number[] {
  const [r, g, b] = color.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  const compress = (value: number): number =>
    value > 216 / 24389 ? Math.cbrt(value) : (24389 / 27 / 116) * value + 16 / 116;
  const x = compress((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047);
  const y = compress(0.2126729 * r + 0.7151522 * g + 0.072175 * b);
  const z = compress((0.0193339 * r + 0.119192 * g + 0.9503041 * b) / 1.08883);
  const scaled = [(116 * y - 16) / 100, (500 * (x - y) + 128) / 255, (200 * (y - z) + 128) / 255];
  return scaled.map((value) => Math.round(Math.min(1, Math.max(0, value)) * 65535));
}
