/** Small CT files for tests, in any uncompressed encoding and with any attribute changed, removed or damaged. */
import { encodeAttributes, type DicomAttribute } from './encode.js';
import { EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE } from './syntaxes.js';
import { CT_IMAGE_STORAGE, TAG } from './tags.js';

export interface FixtureOptions {
  /** Attributes to replace or add; a tag alone removes that attribute. */
  readonly change?: readonly (DicomAttribute | number)[];
  readonly syntax?: string;
  /** Whether to begin with preamble and mark; group 2 is written only then. */
  readonly preamble?: boolean;
  /** Bytes put before the pixels, as they are. */
  readonly raw?: Uint8Array;
  readonly pixels?: Uint16Array;
}

/** A slice of 2 rows and 3 columns at z mm, 5 mm thick, HU = stored - 1000. */
export function ctFile(z: number, options: FixtureOptions = {}): Uint8Array {
  const { change = [], syntax = EXPLICIT_LITTLE, preamble = true, raw = new Uint8Array(0) } = options;
  const attributes = new Map(base(z, options.pixels).map((attribute) => [attribute.tag, attribute]));
  for (const item of change) {
    if (typeof item === 'number') attributes.delete(item);
    else attributes.set(item.tag, item);
  }
  const pixels = attributes.get(TAG.pixelData);
  attributes.delete(TAG.pixelData);
  const head = preamble ? metaGroup(syntax) : [];
  const body = encodeIn([...attributes.values()], syntax);
  const tail = pixels === undefined ? [] : encodeIn([pixels], syntax);
  return Uint8Array.from([...head, ...body, ...raw, ...tail]);
}

function base(z: number, pixels: Uint16Array = Uint16Array.of(0, 1000, 1040, 1080, 2000, z + 500)): DicomAttribute[] {
  const stored = new Uint8Array(pixels.length * 2);
  const view = new DataView(stored.buffer);
  pixels.forEach((value, index) => {
    view.setUint16(index * 2, value, true);
  });
  return [
    { tag: TAG.imageType, vr: 'CS', value: ['ORIGINAL', 'PRIMARY', 'AXIAL'] },
    { tag: TAG.sopClassUid, vr: 'UI', value: CT_IMAGE_STORAGE },
    { tag: TAG.sopInstanceUid, vr: 'UI', value: `1.2.3.${Math.round(Math.abs(z) * 100)}` },
    { tag: TAG.modality, vr: 'CS', value: 'CT' },
    { tag: TAG.seriesDescription, vr: 'LO', value: 'HEAD' },
    { tag: TAG.sliceThickness, vr: 'DS', value: 5 },
    { tag: TAG.studyInstanceUid, vr: 'UI', value: '1.2.3' },
    { tag: TAG.seriesInstanceUid, vr: 'UI', value: '1.2.3.4' },
    { tag: TAG.imagePosition, vr: 'DS', value: [-100, -110, z] },
    { tag: TAG.imageOrientation, vr: 'DS', value: [1, 0, 0, 0, 1, 0] },
    { tag: TAG.rows, vr: 'US', value: 2 },
    { tag: TAG.columns, vr: 'US', value: 3 },
    { tag: TAG.pixelSpacing, vr: 'DS', value: [0.5, 0.4] },
    { tag: TAG.bitsAllocated, vr: 'US', value: 16 },
    { tag: TAG.bitsStored, vr: 'US', value: 12 },
    { tag: TAG.highBit, vr: 'US', value: 11 },
    { tag: TAG.pixelRepresentation, vr: 'US', value: 0 },
    { tag: TAG.rescaleIntercept, vr: 'DS', value: -1000 },
    { tag: TAG.rescaleSlope, vr: 'DS', value: 1 },
    { tag: TAG.pixelData, vr: 'OW', value: stored },
  ];
}

function metaGroup(syntax: string): Uint8Array {
  const meta = encodeAttributes([{ tag: TAG.transferSyntaxUid, vr: 'UI', value: syntax }]);
  const file = new Uint8Array(132 + meta.length);
  file.set([0x44, 0x49, 0x43, 0x4d], 128);
  file.set(meta, 132);
  return file;
}

function encodeIn(attributes: readonly DicomAttribute[], syntax: string): Uint8Array {
  const sorted = [...attributes].sort((a, b) => a.tag - b.tag);
  if (syntax !== IMPLICIT_LITTLE && syntax !== EXPLICIT_BIG) return encodeAttributes(sorted);
  const parts = sorted.map((attribute) => {
    const explicit = encodeAttributes([attribute]);
    const long = attribute.vr === 'OB' || attribute.vr === 'OW';
    const value = explicit.slice(long ? 12 : 8);
    if (syntax === IMPLICIT_LITTLE) {
      const length = new Uint8Array(Uint32Array.of(value.length).buffer);
      return Uint8Array.from([...explicit.subarray(0, 4), ...length, ...value]);
    }
    const start = explicit.slice(0, long ? 12 : 8);
    swap(start.subarray(0, 4), 2);
    swap(start.subarray(long ? 8 : 6), long ? 4 : 2);
    if (attribute.vr === 'US' || attribute.vr === 'OW') swap(value, 2);
    return Uint8Array.from([...start, ...value]);
  });
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function swap(bytes: Uint8Array, width: number): void {
  for (let start = 0; start < bytes.length; start += width) bytes.subarray(start, start + width).reverse();
}
