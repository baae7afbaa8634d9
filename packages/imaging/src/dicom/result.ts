import { ImagingError } from '../imaging-error.js';
import { sha256, toHex } from '../sha256.js';
import { encodeDicomFile, encodeNested, PRIVATE_SCHEME, type NestedAttribute } from './encode-nested.js';
import type { DicomSeries } from './series.js';
import { readSourceHeader, type SourceHeader } from './source-header.js';
import { TAG } from './tags.js';
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
    | 'lossy'
  >;
  readonly header: SourceHeader;
}

/**
 * A series as the source of results.
 *
 * @param bytes the file of one of its slices
 * @throws ImagingError where results could not refer to it, for want of a Study, Series or SOP Instance UID
 */
export function readResultSource(series: ResultSource['series'], bytes: Uint8Array): ResultSource {
  const missing = [
    ...(series.studyUid === '' ? ['Study'] : []),
    ...(series.uid === '' ? ['Series'] : []),
    ...(series.slices.some(({ sopInstanceUid }) => sopInstanceUid === '') ? ['SOP'] : []),
  ];
  if (missing.length > 0) {
    throw new ImagingError(
      'unsupported',
      `Expected a source whose study, series and slices have UIDs, found no ${missing.join(' and ')} Instance UID: results in DICOM cannot refer to it.`,
    );
  }
  return { series, header: readSourceHeader(bytes) };
}

/** A written object and the UIDs by which others refer to it. */
export interface DicomResult {
  readonly bytes: Uint8Array;
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  readonly seriesUid: string;
}

/** An object's own UID for a part of it: `instance` for itself, `series` for the series that it is alone in. */
export type OwnUid = (part: string) => string;

/**
 * A result of this class, with the attributes that it has beyond what all results share. Its own UIDs are drawn from
 * all that it says, its sources and its time included: objects with one UID have the same bytes, as DICOM demands.
 */
export function encodeResult(
  sopClassUid: string,
  source: ResultSource,
  maker: ResultMaker,
  attributesOf: (uid: OwnUid) => NestedAttribute[],
): DicomResult {
  const common = commonAttributes(source, maker);
  const whole = (uid: OwnUid): NestedAttribute[] => [
    ...common,
    ...attributesOf(uid),
    { tag: TAG.sopClassUid, vr: 'UI', value: sopClassUid },
    { tag: TAG.sopInstanceUid, vr: 'UI', value: uid('instance') },
    { tag: TAG.seriesInstanceUid, vr: 'UI', value: uid('series') },
  ];
  const seed = toHex(sha256(encodeNested(whole(() => ''))));
  const uid: OwnUid = (part) => uidFromSeed(`${seed}/${part}`);
  const bytes = encodeDicomFile(whole(uid));
  return { bytes, sopClassUid, sopInstanceUid: uid('instance'), seriesUid: uid('series') };
}

/** The result's own DICOM date and time: in the source's zone where it names one, else local, as readers take them. */
function dicomTime(when: Date, timezone: string | undefined): { date: string; time: string } {
  const minutes =
    timezone === undefined
      ? -when.getTimezoneOffset()
      : Number(`${timezone[0]}1`) * (Number(timezone.slice(1, 3)) * 60 + Number(timezone.slice(3)));
  const [date, time] = new Date(when.getTime() + minutes * 60_000).toISOString().split('T') as [string, string];
  return { date: date.replaceAll('-', ''), time: time.slice(0, 8).replaceAll(':', '') };
}

/** Attributes that every result shares: patient, study, equipment. */
function commonAttributes({ series, header }: ResultSource, maker: ResultMaker): NestedAttribute[] {
  const { date, time } = dicomTime(maker.when ?? new Date(), header.timezone);
  return [
    ...header.carried,
    { tag: TAG.instanceCreationDate, vr: 'DA', value: date },
    { tag: TAG.instanceCreationTime, vr: 'TM', value: time },
    { tag: TAG.seriesDate, vr: 'DA', value: date },
    { tag: TAG.seriesTime, vr: 'TM', value: time },
    { tag: TAG.contentDate, vr: 'DA', value: date },
    { tag: TAG.contentTime, vr: 'TM', value: time },
    { tag: TAG.manufacturer, vr: 'LO', value: 'aaunet' },
    {
      tag: TAG.codingSchemeIdentification,
      vr: 'SQ',
      items: [
        [
          { tag: TAG.codingScheme, vr: 'SH', value: PRIVATE_SCHEME },
          {
            tag: TAG.codingSchemeName,
            vr: 'ST',
            value: 'Places of intracranial hemorrhage that DICOM has no codes for',
          },
          { tag: TAG.codingSchemeOrganization, vr: 'ST', value: 'aaunet' },
        ],
      ],
    },
    { tag: TAG.modelName, vr: 'LO', value: maker.algorithm.slice(0, 64) },
    { tag: TAG.deviceSerialNumber, vr: 'LO', value: maker.weights.slice(0, 64) },
    { tag: TAG.softwareVersions, vr: 'LO', value: maker.software.slice(0, 64) },
    { tag: TAG.studyInstanceUid, vr: 'UI', value: series.studyUid },
  ];
}

/** The frame of reference of a series; one of its own where the source does not name any. */
export function frameOfReference({ series }: ResultSource): string {
  return series.frameOfReferenceUid ?? uidFromSeed(`${series.uid}/frame of reference`);
}

/** Which series and slices the result was made from. */
export function sourceReferences({ series, header }: ResultSource): NestedAttribute {
  return {
    tag: TAG.referencedSeries,
    vr: 'SQ',
    items: [
      [
        {
          tag: TAG.referencedInstances,
          vr: 'SQ',
          items: sourceInstances(series.slices, header),
        },
        { tag: TAG.seriesInstanceUid, vr: 'UI', value: series.uid },
      ],
    ],
  };
}

/** References to the source's files, each once. */
export function sourceInstances(
  slices: readonly { readonly sopInstanceUid: string }[],
  header: SourceHeader,
): NestedAttribute[][] {
  return [...new Set(slices.map(({ sopInstanceUid }) => sopInstanceUid))].map((uid) => referencedInstance(uid, header));
}

/** What names an instance of this class to others. */
export function referencedInstance(uid: string, { sopClassUid }: { readonly sopClassUid: string }): NestedAttribute[] {
  return [
    { tag: TAG.referencedSopClassUid, vr: 'UI', value: sopClassUid },
    { tag: TAG.referencedSopInstanceUid, vr: 'UI', value: uid },
  ];
}

/** By which reports say that they speak of a segment of this very object. */
export function trackingUid(sopInstanceUid: string, segment: number): string {
  return uidFromSeed(`${sopInstanceUid}/segment ${segment}`);
}
