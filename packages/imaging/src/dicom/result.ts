import { PRIVATE_SCHEME, type NestedAttribute } from './encode-nested.js';
import type { DicomSeries } from './series.js';
import type { SourceHeader } from './source-header.js';
import { uidFromSeed } from './uid.js';

/** What made a result, as DICOM's equipment and algorithm attributes say it. ASCII. */
export interface ResultMaker {
  /** Network, such as "rsu-sc". */
  readonly algorithm: string;
  /** How the segments came about (Segment Algorithm Type); AUTOMATIC where absent. */
  readonly method?: 'AUTOMATIC' | 'SEMIAUTOMATIC' | 'MANUAL';
  /** Program and version, such as "aaunet 0.1.0". */
  readonly software: string;
  /** Identifies the weights: their SHA-256, or any other name of them. */
  readonly weights: string;
  /** Said wherever there is room for it, such as "research use only". */
  readonly notice: string;
  /** When it was made; now where absent. */
  readonly when?: Date;
}

/** The series that a result belongs to, with the header of one of its slices. */
export interface ResultSource {
  readonly series: Pick<
    DicomSeries,
    | 'uid'
    | 'studyUid'
    | 'frameOfReferenceUid'
    | 'slices'
    | 'rows'
    | 'columns'
    | 'rowSpacing'
    | 'columnSpacing'
    | 'orientation'
    | 'positions'
    | 'extents'
    | 'tiltDegrees'
    | 'stepMm'
  >;
  readonly header: SourceHeader;
}

/** A written object and the UIDs by which others refer to it. */
export interface DicomResult {
  readonly bytes: Uint8Array;
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  readonly seriesUid: string;
}

/** The result's own DICOM date and time. */
function dicomTime(when: Date = new Date()): { date: string; time: string } {
  const [date, time] = when.toISOString().split('T') as [string, string];
  return { date: date.replaceAll('-', ''), time: time.slice(0, 8).replaceAll(':', '') };
}

/** Attributes that every result shares: patient, study, equipment. */
export function commonAttributes({ series, header }: ResultSource, maker: ResultMaker): NestedAttribute[] {
  const { date, time } = dicomTime(maker.when);
  return [
    ...header.carried,
    { tag: 0x00080012, vr: 'DA', value: date },
    { tag: 0x00080013, vr: 'TM', value: time },
    { tag: 0x00080021, vr: 'DA', value: date },
    { tag: 0x00080031, vr: 'TM', value: time },
    { tag: 0x00080023, vr: 'DA', value: date },
    { tag: 0x00080033, vr: 'TM', value: time },
    { tag: 0x00080070, vr: 'LO', value: 'aaunet' },
    {
      tag: 0x00080110,
      vr: 'SQ',
      items: [
        [
          { tag: 0x00080102, vr: 'SH', value: PRIVATE_SCHEME },
          { tag: 0x00080115, vr: 'ST', value: 'Places of intracranial hemorrhage that DICOM has no codes for' },
          { tag: 0x00080116, vr: 'ST', value: 'aaunet' },
        ],
      ],
    },
    { tag: 0x00081090, vr: 'LO', value: maker.algorithm.slice(0, 64) },
    { tag: 0x00181000, vr: 'LO', value: maker.weights.slice(0, 64) },
    { tag: 0x00181020, vr: 'LO', value: maker.software.slice(0, 64) },
    { tag: 0x0020000d, vr: 'UI', value: series.studyUid },
  ];
}

/** The frame of reference of a series; one of its own where the source does not name any. */
export function frameOfReference({ series }: ResultSource): string {
  return series.frameOfReferenceUid ?? uidFromSeed(`${series.uid}/frame of reference`);
}

/** Which series and slices the result was made from. */
export function sourceReferences({ series, header }: ResultSource): NestedAttribute {
  return {
    tag: 0x00081115,
    vr: 'SQ',
    items: [
      [
        {
          tag: 0x0008114a,
          vr: 'SQ',
          items: sourceInstances(series.slices, header),
        },
        { tag: 0x0020000e, vr: 'UI', value: series.uid },
      ],
    ],
  };
}

/** References to the source's files, each once. */
export function sourceInstances(
  slices: readonly { readonly sopInstanceUid: string }[],
  header: SourceHeader,
): NestedAttribute[][] {
  return [...new Set(slices.map(({ sopInstanceUid }) => sopInstanceUid))].map((uid) => sourceInstance(uid, header));
}

export function sourceInstance(uid: string, { sopClassUid }: SourceHeader): NestedAttribute[] {
  return [
    { tag: 0x00081150, vr: 'UI', value: sopClassUid },
    { tag: 0x00081155, vr: 'UI', value: uid },
  ];
}

/** By which reports say that they speak of a segment of this very object. */
export function trackingUid(sopInstanceUid: string, segment: number): string {
  return uidFromSeed(`${sopInstanceUid}/segment ${segment}`);
}
