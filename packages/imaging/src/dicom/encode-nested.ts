import { ImagingError } from '../imaging-error.js';
import { concatenate, encodeAttributes, encodeElement, type DicomAttribute } from './encode.js';
import { EXPLICIT_LITTLE } from './syntaxes.js';
import { TAG } from './tags.js';
import { uidFromSeed } from './uid.js';

/** An attribute of any kind that segmentations and reports need; sequences hold items of attributes. */
export type NestedAttribute =
  | DicomAttribute
  | { readonly tag: number; readonly vr: 'SQ'; readonly items: readonly (readonly NestedAttribute[])[] }
  | { readonly tag: number; readonly vr: 'AT'; readonly value: number }
  | { readonly tag: number; readonly vr: 'ST' | 'LT' | 'UT'; readonly value: string };

/** Concepts that no scheme of DICOM's has; its codes are listed in docs/reference/dicom-results.md. */
export const PRIVATE_SCHEME = '99AAUNET';

/** A concept of a coding scheme, such as (50960005, SCT, "Hemorrhage"). */
export interface Code {
  readonly value: string;
  readonly scheme: 'SCT' | 'DCM' | 'UCUM' | 'RFC5646' | typeof PRIVATE_SCHEME;
  readonly meaning: string;
}

/** The attributes in the order of their tags, in explicit VR little endian, sequences with their lengths. */
export function encodeNested(attributes: readonly NestedAttribute[]): Uint8Array {
  return concatenate([...attributes].sort((a, b) => a.tag - b.tag).map(encodeOne));
}

/** A code sequence with one item. */
export function codeSequence(tag: number, code: Code): NestedAttribute {
  return { tag, vr: 'SQ', items: [codeItem(code)] };
}

export function codeItem({ value, scheme, meaning }: Code): NestedAttribute[] {
  return [
    { tag: TAG.codeValue, vr: 'SH', value },
    { tag: TAG.codingScheme, vr: 'SH', value: scheme },
    { tag: TAG.codeMeaning, vr: 'LO', value: meaning },
  ];
}

/** A whole DICOM file: preamble, group 2, and the data set, which must name its SOP class and instance. */
export function encodeDicomFile(attributes: readonly NestedAttribute[]): Uint8Array {
  const uidOf = (tag: number): string => {
    const found = attributes.find((attribute) => attribute.tag === tag);
    if (found?.vr !== 'UI' || typeof found.value !== 'string') {
      throw new ImagingError('bad-argument', 'Expected a SOP class and instance UID in the object to be written.');
    }
    return found.value;
  };
  const meta = encodeAttributes([
    { tag: TAG.metaVersion, vr: 'OB', value: Uint8Array.of(0, 1) },
    { tag: TAG.mediaSopClassUid, vr: 'UI', value: uidOf(TAG.sopClassUid) },
    { tag: TAG.mediaSopInstanceUid, vr: 'UI', value: uidOf(TAG.sopInstanceUid) },
    { tag: TAG.transferSyntaxUid, vr: 'UI', value: EXPLICIT_LITTLE },
    { tag: TAG.implementationClassUid, vr: 'UI', value: uidFromSeed('aaunet implementation') },
    { tag: TAG.implementationVersionName, vr: 'SH', value: 'AAUNET' },
  ]);
  const preamble = new Uint8Array(132);
  preamble.set([0x44, 0x49, 0x43, 0x4d], 128);
  const length = encodeAttributes([{ tag: TAG.metaGroupLength, vr: 'UL', value: meta.length }]);
  return concatenate([preamble, length, meta, encodeNested(attributes)]);
}

function encodeOne(attribute: NestedAttribute): Uint8Array {
  switch (attribute.vr) {
    case 'SQ':
      return encodeElement(attribute.tag, 'SQ', concatenate(attribute.items.map(encodeItem)));
    case 'AT': {
      const value = new Uint8Array(4);
      new DataView(value.buffer).setUint16(0, attribute.value >>> 16, true);
      new DataView(value.buffer).setUint16(2, attribute.value & 0xffff, true);
      return encodeElement(attribute.tag, 'AT', value);
    }
    case 'ST':
    case 'LT':
    case 'UT': {
      const ascii = attribute.value.replaceAll(/[^\x20-\x7e\n\r]/g, '?');
      const limit = attribute.vr === 'ST' ? 1024 : 10240;
      return encodeElement(
        attribute.tag,
        attribute.vr,
        Uint8Array.from(ascii.slice(0, limit), (character) => character.charCodeAt(0)),
      );
    }
    default:
      return encodeAttributes([attribute]);
  }
}

function encodeItem(attributes: readonly NestedAttribute[]): Uint8Array {
  const content = encodeNested(attributes);
  const head = new Uint8Array(8);
  const view = new DataView(head.buffer);
  view.setUint16(0, 0xfffe, true);
  view.setUint16(2, 0xe000, true);
  view.setUint32(4, content.length, true);
  return concatenate([head, content]);
}
