import { labelByName, type LabelName } from '../labels.js';
import { codeItem, codeSequence, type Code, type NestedAttribute } from './encode-nested.js';
import { decimalString } from './encode.js';
import { FINDING_CODES } from './finding-codes.js';
import {
  encodeResult,
  referencedInstance,
  sourceInstances,
  trackingUid,
  type DicomResult,
  type ResultMaker,
  type ResultSource,
} from './result.js';
import { TAG } from './tags.js';
import { uidFromSeed } from './uid.js';

export const COMPREHENSIVE_3D_SR_STORAGE = '1.2.840.10008.5.1.4.1.1.88.34';

/** The volume of one type; types that were not assessed are not reported. */
export interface ReportedVolume {
  readonly name: LabelName;
  readonly volumeMl: number;
}

type Relationship = 'CONTAINS' | 'HAS OBS CONTEXT' | 'HAS CONCEPT MOD';

const dcm = (value: string, meaning: string): Code => ({ value, scheme: 'DCM', meaning });
const sct = (value: string, meaning: string): Code => ({ value, scheme: 'SCT', meaning });

/** A content item: relationship to its parent, kind of value, its name and what the kind of value needs. */
function item(
  relationship: Relationship,
  kind: string,
  name: Code | undefined,
  ...rest: readonly NestedAttribute[]
): NestedAttribute[] {
  return [
    { tag: TAG.relationshipType, vr: 'CS', value: relationship },
    { tag: TAG.valueType, vr: 'CS', value: kind },
    ...(name ? [codeSequence(TAG.conceptName, name)] : []),
    ...rest,
  ];
}

const code = (relationship: Relationship, name: Code, value: Code): NestedAttribute[] =>
  item(relationship, 'CODE', name, codeSequence(TAG.conceptCode, value));

const text = (relationship: Relationship, name: Code, value: string): NestedAttribute[] =>
  item(relationship, 'TEXT', name, { tag: TAG.textValue, vr: 'UT', value });

const uid = (relationship: Relationship, name: Code, value: string): NestedAttribute[] =>
  item(relationship, 'UIDREF', name, { tag: TAG.uidValue, vr: 'UI', value });

/** Attributes of a container: its children, and the template that they follow. */
function container(template: string | undefined, children: readonly NestedAttribute[][]): NestedAttribute[] {
  return [
    { tag: TAG.continuityOfContent, vr: 'CS', value: 'SEPARATE' },
    ...(template === undefined
      ? []
      : ([
          {
            tag: TAG.contentTemplate,
            vr: 'SQ',
            items: [
              [
                { tag: TAG.mappingResource, vr: 'CS', value: 'DCMR' },
                { tag: TAG.templateIdentifier, vr: 'CS', value: template },
              ],
            ],
          },
        ] as const)),
    // An empty sequence would be an error: a report of a network that assesses nothing has no measurements.
    ...(children.length === 0 ? [] : [{ tag: TAG.contentItems, vr: 'SQ', items: children } as const]),
  ];
}

/** The measurements of one type: TID 1411, volumetric ROI measurements. */
function measurementGroup(
  { name, volumeMl }: ReportedVolume,
  { series }: ResultSource,
  segmentation: DicomResult,
): NestedAttribute[] {
  const { id } = labelByName(name);
  const { type, region, modifier } = FINDING_CODES[name];
  const measured: NestedAttribute = {
    tag: TAG.measuredValues,
    vr: 'SQ',
    items: [
      [
        { tag: TAG.numericValue, vr: 'DS', value: Number(decimalString(volumeMl)) },
        {
          tag: TAG.measurementUnits,
          vr: 'SQ',
          items: [codeItem({ value: 'mL', scheme: 'UCUM', meaning: 'milliliter' })],
        },
      ],
    ],
  };
  const finding = code('CONTAINS', dcm('121071', 'Finding'), type);
  if (modifier) {
    const course = code('HAS CONCEPT MOD', sct('263502005', 'Clinical course'), modifier);
    finding.push({ tag: TAG.contentItems, vr: 'SQ', items: [course] });
  }
  return item(
    'CONTAINS',
    'CONTAINER',
    dcm('125007', 'Measurement Group'),
    ...container('1411', [
      text('HAS OBS CONTEXT', dcm('112039', 'Tracking Identifier'), name),
      uid('HAS OBS CONTEXT', dcm('112040', 'Tracking Unique Identifier'), trackingUid(segmentation.sopInstanceUid, id)),
      finding,
      item('CONTAINS', 'IMAGE', dcm('121191', 'Referenced Segment'), {
        tag: TAG.referencedSops,
        vr: 'SQ',
        items: [
          [
            ...referencedInstance(segmentation.sopInstanceUid, segmentation),
            { tag: TAG.referencedSegmentNumber, vr: 'US', value: id },
          ],
        ],
      }),
      uid('CONTAINS', dcm('121232', 'Source series for segmentation'), series.uid),
      code('HAS CONCEPT MOD', sct('363698007', 'Finding Site'), region),
      item('CONTAINS', 'NUM', sct('118565006', 'Volume'), measured),
    ]),
  );
}

/** The source's images: TID 1600, by which viewers know over what to show the report. */
function imageLibrary({ series, header }: ResultSource): NestedAttribute[] {
  const images = sourceInstances(series.slices, header).map((instance) =>
    item('CONTAINS', 'IMAGE', undefined, { tag: TAG.referencedSops, vr: 'SQ', items: [instance] }),
  );
  const group = item('CONTAINS', 'CONTAINER', dcm('126200', 'Image Library Group'), ...container(undefined, images));
  return item('CONTAINS', 'CONTAINER', dcm('111028', 'Image Library'), ...container('1600', [group]));
}

/**
 * The volumes in mL of the types in a segmentation as a DICOM structured report after TID 1500 (Measurement Report), in the
 * Comprehensive 3D SR class. It is unverified: no person has looked at it.
 */
export function writeStructuredReport(
  volumes: readonly ReportedVolume[],
  source: ResultSource,
  segmentation: DicomResult,
  maker: ResultMaker,
): DicomResult {
  const content = container('1500', [
    code('HAS CONCEPT MOD', dcm('121049', 'Language of Content Item and Descendants'), {
      value: 'en',
      scheme: 'RFC5646',
      meaning: 'English',
    }),
    code('HAS OBS CONTEXT', dcm('121005', 'Observer Type'), dcm('121007', 'Device')),
    uid('HAS OBS CONTEXT', dcm('121012', 'Device Observer UID'), uidFromSeed(`${maker.software}/${maker.weights}`)),
    text('HAS OBS CONTEXT', dcm('121013', 'Device Observer Name'), maker.software),
    text('HAS OBS CONTEXT', dcm('121014', 'Device Observer Manufacturer'), 'aaunet'),
    text('HAS OBS CONTEXT', dcm('121015', 'Device Observer Model Name'), maker.algorithm),
    code('HAS CONCEPT MOD', dcm('121058', 'Procedure reported'), sct('77477000', 'Computed Tomography')),
    text('CONTAINS', dcm('121106', 'Comment'), maker.notice),
    imageLibrary(source),
    item(
      'CONTAINS',
      'CONTAINER',
      dcm('126010', 'Imaging Measurements'),
      ...container(
        undefined,
        volumes.map((volume) => measurementGroup(volume, source, segmentation)),
      ),
    ),
  ]);
  return encodeResult(COMPREHENSIVE_3D_SR_STORAGE, source, maker, () => [
    { tag: TAG.modality, vr: 'CS', value: 'SR' },
    { tag: TAG.seriesDescription, vr: 'LO', value: 'Intracranial hemorrhage volumes, research use only' },
    { tag: TAG.referencedProcedureStep, vr: 'SQ', items: [] },
    { tag: TAG.seriesNumber, vr: 'IS', value: 9003 },
    { tag: TAG.instanceNumber, vr: 'IS', value: 1 },
    { tag: TAG.valueType, vr: 'CS', value: 'CONTAINER' },
    codeSequence(TAG.conceptName, dcm('126000', 'Imaging Measurement Report')),
    { tag: TAG.performedProcedureCode, vr: 'SQ', items: [] },
    evidence(source, segmentation),
    { tag: TAG.completionFlag, vr: 'CS', value: 'COMPLETE' },
    { tag: TAG.verificationFlag, vr: 'CS', value: 'UNVERIFIED' },
    ...content,
  ]);
}

/** Everything that the report speaks of: the segmentation and the source's slices. */
function evidence({ series, header }: ResultSource, segmentation: DicomResult): NestedAttribute {
  const ofSeries = (seriesUid: string, instances: NestedAttribute[][]): NestedAttribute[] => [
    { tag: TAG.referencedSops, vr: 'SQ', items: instances },
    { tag: TAG.seriesInstanceUid, vr: 'UI', value: seriesUid },
  ];
  const segmented = referencedInstance(segmentation.sopInstanceUid, segmentation);
  return {
    tag: TAG.currentRequestedEvidence,
    vr: 'SQ',
    items: [
      [
        {
          tag: TAG.referencedSeries,
          vr: 'SQ',
          items: [
            ofSeries(segmentation.seriesUid, [segmented]),
            ofSeries(series.uid, sourceInstances(series.slices, header)),
          ],
        },
        { tag: TAG.studyInstanceUid, vr: 'UI', value: series.studyUid },
      ],
    ],
  };
}
