import { parseDicom } from './parse.js';
import type { NestedAttribute } from './encode-nested.js';
import { CT_IMAGE_STORAGE, TAG } from './tags.js';

type TextVr = 'AE' | 'CS' | 'DA' | 'LO' | 'PN' | 'SH' | 'TM';

/** Attributes of patient and study that a result carries on, so that a PACS files it with its source. */
const CARRIED: readonly (readonly [tag: number, vr: TextVr, isRequired: boolean])[] = [
  [0x00080005, 'CS', false],
  [0x00080020, 'DA', true],
  [0x00080030, 'TM', true],
  [0x00080050, 'SH', true],
  [0x00080090, 'PN', true],
  [0x00081030, 'LO', false],
  [0x00100010, 'PN', true],
  [0x00100020, 'LO', true],
  [0x00100021, 'LO', false],
  [0x00100030, 'DA', true],
  [0x00100040, 'CS', true],
  [0x00200010, 'SH', true],
];

const POSITION_REFERENCE = 0x00201040;
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
  if (dataset.text(0x00120062) === 'YES') {
    carried.push({ tag: 0x00120062, vr: 'CS', value: 'YES' });
    // Must come with the flag; sources that say how in codes alone, or not at all, are named instead.
    carried.push({ tag: 0x00120063, vr: 'LO', value: raw(0x00120063) ?? 'As stated by the source images' });
  }
  const stated = dataset.text(TAG.timezoneOffset);
  const timezone = stated !== undefined && /^[+-](0\d|1[0-4])[0-5]\d$/.test(stated) ? stated : undefined;
  if (timezone !== undefined) carried.push({ tag: TAG.timezoneOffset, vr: 'SH', value: timezone });
  return {
    timezone,
    sopClassUid: dataset.text(TAG.sopClassUid) ?? CT_IMAGE_STORAGE,
    carried,
    positionReference: { tag: POSITION_REFERENCE, vr: 'LO', value: raw(POSITION_REFERENCE) ?? '' },
  };
}
