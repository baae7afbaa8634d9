import { ImagingError } from '../imaging-error.js';
import { LABELS } from '../labels.js';
import type { Volume } from '../volume.js';
import { codeItem, codeSequence, type NestedAttribute } from './encode-nested.js';
import { FINDING_CODES } from './finding-codes.js';
import {
  encodeResult,
  frameOfReference,
  referencedInstance,
  sourceReferences,
  trackingUid,
  type DicomResult,
  type OwnUid,
  type ResultMaker,
  type ResultSource,
} from './result.js';
import { SEGMENTATION_STORAGE, TAG } from './tags.js';

/** Bits and frames of a segmentation. */
interface Frames {
  /** Segment number (label) and slice of each frame, in the order of the pixels. */
  readonly places: readonly { readonly segment: number; readonly slice: number }[];
  readonly pixels: Uint8Array;
}

/**
 * A label map as a DICOM Segmentation with one bit a voxel: all seven segments are declared, and those voxels that have
 * labels get frames, each with its own plane position and its source slice, so that tilt and uneven steps stay as they are.
 * The same input and maker, at the same time, give the same object.
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
  return encode('BINARY', binaryFrames(labels), source, maker);
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
  return encode('FRACTIONAL', fractionalFrames(probabilities), source, maker);
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
  source: ResultSource,
  maker: ResultMaker,
): DicomResult {
  const { series, header } = source;
  const bits = kind === 'BINARY' ? 1 : 8;
  const attributesOf = (uid: OwnUid): NestedAttribute[] => [
    { tag: TAG.imageType, vr: 'CS', value: ['DERIVED', 'PRIMARY'] },
    { tag: TAG.modality, vr: 'CS', value: 'SEG' },
    {
      tag: TAG.seriesDescription,
      vr: 'LO',
      value: `Intracranial hemorrhage${kind === 'BINARY' ? '' : ' probability'}, research use only`,
    },
    sourceReferences(source),
    { tag: TAG.seriesNumber, vr: 'IS', value: kind === 'BINARY' ? 9001 : 9002 },
    { tag: TAG.instanceNumber, vr: 'IS', value: 1 },
    { tag: TAG.frameOfReferenceUid, vr: 'UI', value: frameOfReference(source) },
    header.positionReference,
    ...dimensions(uid('dimensions')),
    { tag: TAG.samplesPerPixel, vr: 'US', value: 1 },
    { tag: TAG.photometricInterpretation, vr: 'CS', value: 'MONOCHROME2' },
    { tag: TAG.numberOfFrames, vr: 'IS', value: places.length },
    { tag: TAG.rows, vr: 'US', value: series.rows },
    { tag: TAG.columns, vr: 'US', value: series.columns },
    { tag: TAG.bitsAllocated, vr: 'US', value: bits },
    { tag: TAG.bitsStored, vr: 'US', value: bits },
    { tag: TAG.highBit, vr: 'US', value: bits - 1 },
    { tag: TAG.pixelRepresentation, vr: 'US', value: 0 },
    ...lossyAttributes(series),
    { tag: TAG.segmentationType, vr: 'CS', value: kind },
    segments(maker, uid('instance')),
    ...(kind === 'FRACTIONAL'
      ? ([
          { tag: TAG.maximumFractionalValue, vr: 'US', value: 255 },
          { tag: TAG.segmentationFractionalType, vr: 'CS', value: 'PROBABILITY' },
        ] as const)
      : ([{ tag: TAG.segmentsOverlap, vr: 'CS', value: 'NO' }] as const)),
    { tag: TAG.contentLabel, vr: 'CS', value: 'HEMORRHAGE' },
    { tag: TAG.contentDescription, vr: 'LO', value: maker.notice.slice(0, 64) },
    { tag: TAG.contentCreator, vr: 'PN', value: '' },
    { tag: TAG.sharedFunctionalGroups, vr: 'SQ', items: [sharedGroups(source)] },
    { tag: TAG.perFrameFunctionalGroups, vr: 'SQ', items: places.map((place) => frameGroups(place, source)) },
    { tag: TAG.pixelData, vr: 'OB', value: pixels },
  ];
  return encodeResult(SEGMENTATION_STORAGE, source, maker, attributesOf);
}

/** Whether the source ever lost anything to compression: once it has, everything made from it has to say so. */
function lossyAttributes({ lossy }: ResultSource['series']): NestedAttribute[] {
  if (lossy === undefined) return [{ tag: TAG.lossyCompression, vr: 'CS', value: '00' }];
  return [
    { tag: TAG.lossyCompression, vr: 'CS', value: '01' },
    { tag: TAG.lossyRatio, vr: 'DS', value: lossy.ratios },
    { tag: TAG.lossyMethod, vr: 'CS', value: lossy.methods },
  ];
}

/** Frames are ordered by segment, then by place. */
function dimensions(organizationUid: string): NestedAttribute[] {
  const organization: NestedAttribute = { tag: TAG.dimensionOrganizationUid, vr: 'UI', value: organizationUid };
  const index = (pointer: number, functionalGroup: number, description: string): NestedAttribute[] => [
    organization,
    { tag: TAG.dimensionIndexPointer, vr: 'AT', value: pointer },
    { tag: TAG.functionalGroupPointer, vr: 'AT', value: functionalGroup },
    { tag: TAG.dimensionDescription, vr: 'LO', value: description },
  ];
  return [
    { tag: TAG.dimensionOrganizations, vr: 'SQ', items: [[organization]] },
    {
      tag: TAG.dimensionIndices,
      vr: 'SQ',
      items: [
        index(TAG.referencedSegmentNumber, TAG.segmentIdentification, 'Referenced Segment Number'),
        index(TAG.imagePosition, TAG.framePlanePosition, 'Image Position Patient'),
      ],
    },
  ];
}

function segments(maker: ResultMaker, sopInstanceUid: string): NestedAttribute {
  const method = maker.method ?? 'AUTOMATIC';
  return {
    tag: TAG.segmentSequence,
    vr: 'SQ',
    items: LABELS.map(({ id, name, title, color }): NestedAttribute[] => {
      const codes = FINDING_CODES[name];
      return [
        codeSequence(TAG.anatomicRegion, codes.region),
        codeSequence(TAG.segmentedPropertyCategory, codes.category),
        { tag: TAG.segmentNumber, vr: 'US', value: id },
        { tag: TAG.segmentLabel, vr: 'LO', value: name },
        { tag: TAG.segmentDescription, vr: 'ST', value: `${title}. ${maker.notice}` },
        { tag: TAG.segmentAlgorithmType, vr: 'CS', value: method },
        ...(method === 'MANUAL'
          ? []
          : [
              {
                tag: TAG.segmentAlgorithmName,
                vr: 'LO',
                value: maker.algorithm.slice(0, 64),
              } satisfies NestedAttribute,
            ]),
        { tag: TAG.recommendedDisplayColor, vr: 'US', value: cieLab(color) },
        {
          tag: TAG.segmentedPropertyType,
          vr: 'SQ',
          items: [
            [
              ...codeItem(codes.type),
              ...(codes.modifier ? [codeSequence(TAG.segmentedPropertyTypeModifier, codes.modifier)] : []),
            ],
          ],
        },
        { tag: TAG.trackingId, vr: 'UT', value: name },
        { tag: TAG.trackingUid, vr: 'UI', value: trackingUid(sopInstanceUid, id) },
      ];
    }),
  };
}

function measures({ series }: ResultSource, thickness: number, spacing?: number): NestedAttribute {
  return {
    tag: TAG.framePixelMeasures,
    vr: 'SQ',
    items: [
      [
        { tag: TAG.sliceThickness, vr: 'DS', value: thickness },
        ...(spacing === undefined ? [] : ([{ tag: TAG.spacingBetweenSlices, vr: 'DS', value: spacing }] as const)),
        { tag: TAG.pixelSpacing, vr: 'DS', value: [series.rowSpacing, series.columnSpacing] },
      ],
    ],
  };
}

/** What all frames have in common: the orientation, and where slices are even their extent. */
function sharedGroups(source: ResultSource): NestedAttribute[] {
  const { orientation, extents, stepMm, tiltDegrees } = source.series;
  const step = stepMm.median * Math.cos((tiltDegrees * Math.PI) / 180);
  return [
    {
      tag: TAG.framePlaneOrientation,
      vr: 'SQ',
      items: [[{ tag: TAG.imageOrientation, vr: 'DS', value: [...orientation] }]],
    },
    ...(extents ? [] : [measures(source, step, step)]),
  ];
}

function frameGroups(
  { segment, slice }: { readonly segment: number; readonly slice: number },
  source: ResultSource,
): NestedAttribute[] {
  const { positions, slices, extents } = source.series;
  const { sopInstanceUid, frame, pixels } = slices[slice]!;
  const origin: NestedAttribute[] = [
    ...referencedInstance(sopInstanceUid, source.header),
    ...(pixels.frames > 1 ? [{ tag: TAG.referencedFrameNumber, vr: 'IS', value: frame + 1 } as const] : []),
    codeSequence(TAG.purposeOfReference, {
      value: '121322',
      scheme: 'DCM',
      meaning: 'Source image for image processing operation',
    }),
  ];
  return [
    {
      tag: TAG.derivationImages,
      vr: 'SQ',
      items: [
        [
          { tag: TAG.sourceImages, vr: 'SQ', items: [origin] },
          codeSequence(TAG.derivationCode, { value: '113076', scheme: 'DCM', meaning: 'Segmentation' }),
        ],
      ],
    },
    {
      tag: TAG.frameContent,
      vr: 'SQ',
      items: [[{ tag: TAG.dimensionIndexValues, vr: 'UL', value: [segment, slice + 1] }]],
    },
    {
      tag: TAG.framePlanePosition,
      vr: 'SQ',
      items: [[{ tag: TAG.imagePosition, vr: 'DS', value: [...positions[slice]!] }]],
    },
    ...(extents ? [measures(source, extents[slice]!)] : []),
    {
      tag: TAG.segmentIdentification,
      vr: 'SQ',
      items: [[{ tag: TAG.referencedSegmentNumber, vr: 'US', value: segment }]],
    },
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
