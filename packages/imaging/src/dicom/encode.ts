import { ImagingError } from '../imaging-error.js';

/** Attributes of a data set, to be encoded in explicit VR little endian. */
export interface DicomAttribute {
  readonly tag: number;
  readonly vr: 'AE' | 'CS' | 'DA' | 'DS' | 'IS' | 'LO' | 'OB' | 'OW' | 'PN' | 'SH' | 'TM' | 'UI' | 'UL' | 'US';
  readonly value: string | number | Uint8Array | readonly (string | number)[];
}

/** Longest value of each text VR, characters (DICOM PS3.5, 6.2). */
const LIMITS: Readonly<Record<string, number>> = { AE: 16, CS: 16, DS: 16, IS: 12, LO: 64, PN: 64, SH: 16, UI: 64 };

/** The attributes in the order of their tags, in explicit VR little endian. */
export function encodeAttributes(attributes: readonly DicomAttribute[]): Uint8Array {
  return concatenate(
    [...attributes]
      .sort((a, b) => a.tag - b.tag)
      .map(({ tag, vr, value }) => encodeElement(tag, vr, encodeValue(vr, value))),
  );
}

/** The parts one after another. */
export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** VRs whose length takes 32 bits. */
const LONG = new Set(['OB', 'OW', 'SQ', 'UT']);
/** VRs padded with a zero to an even length; texts are padded with a space. */
const PADDED_WITH_ZERO = new Set(['OB', 'OW', 'UI']);

/** One element in explicit VR little endian, its value encoded already. */
export function encodeElement(tag: number, vr: string, bytes: Uint8Array): Uint8Array {
  const long = LONG.has(vr);
  const padded = bytes.length + (bytes.length % 2);
  const out = new Uint8Array((long ? 12 : 8) + padded);
  const view = new DataView(out.buffer);
  view.setUint16(0, tag >>> 16, true);
  view.setUint16(2, tag & 0xffff, true);
  out[4] = vr.charCodeAt(0);
  out[5] = vr.charCodeAt(1);
  if (long) view.setUint32(8, padded, true);
  else view.setUint16(6, padded, true);
  out.set(bytes, long ? 12 : 8);
  if (padded > bytes.length) out[out.length - 1] = PADDED_WITH_ZERO.has(vr) ? 0 : 32;
  return out;
}

function encodeValue(vr: DicomAttribute['vr'], value: DicomAttribute['value']): Uint8Array {
  if (value instanceof Uint8Array) return value;
  const values = typeof value === 'object' ? value : [value];
  if (vr === 'US' || vr === 'UL') {
    const width = vr === 'US' ? 2 : 4;
    const out = new Uint8Array(values.length * width);
    const view = new DataView(out.buffer);
    values.forEach((item, index) => {
      if (vr === 'US') view.setUint16(index * 2, Number(item), true);
      else view.setUint32(index * 4, Number(item), true);
    });
    return out;
  }
  const texts = values.map((item) => (vr === 'DS' ? decimalString(Number(item)) : cleanText(String(item))));
  const limit = LIMITS[vr] ?? 64;
  const long = texts.find((text) => text.length > limit);
  if (long !== undefined) {
    throw new ImagingError('bad-argument', `Expected a DICOM ${vr} of at most ${limit} characters, found "${long}".`);
  }
  return Uint8Array.from(texts.join('\\'), (character) => character.charCodeAt(0));
}

/** A number in at most 16 characters (DICOM's DS), with as many digits as fit. */
export function decimalString(value: number): string {
  if (!Number.isFinite(value)) throw new ImagingError('bad-argument', `Expected a finite number, found ${value}.`);
  const exact = String(value + 0);
  if (exact.length <= 16) return exact;
  for (let digits = 16; digits > 0; digits--) {
    // Fixed and exponential notation differ in length: take whichever fits with more digits.
    const rounded = Number(value.toPrecision(digits));
    const short = [String(rounded), rounded.toExponential()].find((text) => text.length <= 16);
    if (short !== undefined) return short;
  }
  return '0';
}

/** Printable ASCII without the backslash that separates values. */
function cleanText(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]|\\/g, '?');
}
