import { parseDicom } from './parse.js';
import type { NestedAttribute } from './encode-nested.js';
import { CT_IMAGE_STORAGE, TAG } from './tags.js';

type TextVr = 'AE' | 'CS' | 'DA' | 'LO' | 'PN' | 'SH' | 'TM';

/** Attributes of patient and study that a result carries on, so that a PACS files it with its source. */
const CARRIED: readonly (readonly [tag: number, vr: TextVr, isRequired: boolean])[] = [
  [TAG.specificCharacterSet, 'CS', false],
  [TAG.studyDate, 'DA', true],
  [TAG.studyTime, 'TM', true],
  [TAG.accessionNumber, 'SH', true],
  [TAG.referringPhysician, 'PN', true],
  [TAG.studyDescription, 'LO', false],
  [TAG.patientName, 'PN', true],
  [TAG.patientId, 'LO', true],
  [TAG.patientIdIssuer, 'LO', false],
  [TAG.patientBirthDate, 'DA', true],
  [TAG.patientSex, 'CS', true],
  [TAG.studyId, 'SH', true],
];

const LONGEST = 1024;

/** What results in DICOM take over from a slice of their source. */
export interface SourceHeader {
  readonly sopClassUid: string;
  /** Patient's and study's attributes, byte for byte as the source has them; the required ones are there, if empty. */
  readonly carried: readonly NestedAttribute[];
  readonly positionReference: NestedAttribute;
  /** Offset of the carried dates and times from UTC as "+0100", which then holds for the result's own; undefined where not said. */
  readonly timezone: string | undefined;
}

/** Reads from a source slice's file what results carry on. It holds the patient's identity: not for logs. */
export function readSourceHeader(bytes: Uint8Array): SourceHeader {
  const { dataset } = parseDicom(bytes);
  const raw = (tag: number): Uint8Array | undefined => {
    const found = dataset.elements.get(tag);
    if (found === undefined || found.length === 0 || found.length > LONGEST) return undefined;
    return dataset.bytes.slice(found.offset, found.offset + found.length);
  };
  const carried = CARRIED.flatMap(([tag, vr, isRequired]): NestedAttribute[] => {
    const value = raw(tag);
    if (value !== undefined) return [{ tag, vr, value }];
    return isRequired ? [{ tag, vr, value: '' }] : [];
  });
  if (dataset.text(TAG.identityRemoved) === 'YES') {
    carried.push({ tag: TAG.identityRemoved, vr: 'CS', value: 'YES' });
    // Must come with the flag; sources that say how in codes alone, or not at all, are named instead.
    carried.push({
      tag: TAG.deidentificationMethod,
      vr: 'LO',
      value: raw(TAG.deidentificationMethod) ?? 'As stated by the source images',
    });
  }
  const stated = dataset.text(TAG.timezoneOffset);
  const timezone = stated !== undefined && /^[+-](0\d|1[0-4])[0-5]\d$/.test(stated) ? stated : undefined;
  if (timezone !== undefined) carried.push({ tag: TAG.timezoneOffset, vr: 'SH', value: timezone });
  return {
    timezone,
    sopClassUid: dataset.text(TAG.sopClassUid) ?? CT_IMAGE_STORAGE,
    carried,
    positionReference: { tag: TAG.positionReference, vr: 'LO', value: raw(TAG.positionReference) ?? '' },
  };
}
