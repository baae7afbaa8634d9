import { Inflate } from 'fflate';

import { kindOfStart } from '../file-kind.js';
import { ImagingError, messageOf } from '../imaging-error.js';
import { DicomDataset } from './dataset.js';
import { MoreBytesNeeded, Reader, UNDEFINED, type DicomElement, type Encoding } from './reader.js';
import {
  DEFLATED,
  EXPLICIT_BIG,
  EXPLICIT_LITTLE,
  IMPLICIT_LITTLE,
  transferSyntaxOf,
  type TransferSyntax,
} from './syntaxes.js';
import { TAG, tagName } from './tags.js';

export interface DicomFile {
  readonly transferSyntax: string;
  readonly syntax: TransferSyntax;
  /** The SOP class that group 2 names. */
  readonly mediaSopClass: string | undefined;
  /** Its `bytes`, to which all offsets refer, are the file's, or the inflated ones of a deflated file. */
  readonly dataset: DicomDataset;
  /** Where the pixels lie; their fragments, where they are compressed. Absent in an object without pixels. */
  readonly pixelData?: DicomElement & { readonly encapsulated: boolean };
}

const LITTLE: Encoding = { explicit: true, littleEndian: true };
/** A deflated data set may grow to this: above any CT slice, and far below what a bomb would fill. */
const MAX_INFLATED = 2 ** 28;

/**
 * The top-level attributes of a DICOM file up to its pixels; sequences are read on demand. Reads every transfer syntax of
 * docs/reference/imaging.md, with or without preamble and group 2. Every length is checked against the file before use.
 *
 * @param total size of the whole file, where `bytes` is only its beginning; then {@link MoreBytesNeeded} may be thrown
 */
export function parseDicom(bytes: Uint8Array, total = bytes.length): DicomFile {
  const reader = new Reader(bytes, total);
  const marked = bytes.length >= 132 && String.fromCharCode(...bytes.subarray(128, 132)) === 'DICM';
  let offset = marked ? 132 : 0;
  if (offset + 8 > bytes.length)
    throw new ImagingError('not-dicom', 'Expected a DICOM file, found too few bytes for one.');
  const elements = new Map<number, DicomElement>();
  while (offset + 8 <= bytes.length && reader.view.getUint16(offset, true) === 0x0002) {
    const start = reader.start(offset, LITTLE);
    if (start.length === UNDEFINED)
      throw new ImagingError('bad-dicom', `Expected a length for ${tagName(start.tag)}, found none.`);
    offset = reader.keep(start, LITTLE, elements);
  }
  const meta = new DicomDataset(bytes, true, new Map(elements));
  const transferSyntax = meta.text(TAG.transferSyntaxUid) ?? guessSyntax(reader, offset, marked || elements.size > 0);
  const syntax = transferSyntaxOf(transferSyntax);
  const mediaSopClass = meta.text(TAG.mediaSopClassUid);
  if (transferSyntax !== DEFLATED)
    return { ...readBody(reader, offset, syntax), transferSyntax, syntax, mediaSopClass };
  if (bytes.length < total) throw new MoreBytesNeeded(total);
  const inflated = new Reader(inflateBounded(bytes.subarray(offset)));
  return { ...readBody(inflated, 0, syntax), transferSyntax, syntax, mediaSopClass };
}

function readBody(reader: Reader, from: number, syntax: TransferSyntax): Pick<DicomFile, 'dataset' | 'pixelData'> {
  const elements = new Map<number, DicomElement>();
  const stop = reader.elements(from, reader.total, syntax, elements);
  const dataset = new DicomDataset(reader.bytes, syntax.littleEndian, elements, syntax.explicit);
  if (typeof stop === 'number' || stop.tag !== TAG.pixelData) return { dataset };
  const encapsulated = stop.length === UNDEFINED;
  if (encapsulated !== (syntax.codec !== 'native')) {
    throw new ImagingError(
      'bad-dicom',
      encapsulated
        ? 'Expected plain pixels, found compressed fragments in an uncompressed file.'
        : `Expected compressed fragments (${syntax.name}), found plain pixels.`,
    );
  }
  const length = encapsulated ? reader.total - stop.offset : reader.end(stop) - stop.offset;
  return { dataset, pixelData: { offset: stop.offset, length, vr: stop.vr, encapsulated } };
}

/** The encoding of a file that does not say: data sets begin with group 8, and explicit VRs are two capital letters. */
function guessSyntax(reader: Reader, offset: number, isDicom: boolean): string {
  if (offset + 8 > reader.bytes.length)
    throw new ImagingError('truncated', 'Expected DICOM attributes, found the end of the file.');
  const group = reader.view.getUint16(offset, true);
  if (!isDicom && kindOfStart(reader.bytes) === 'zip') {
    throw new ImagingError('not-dicom', 'Expected a DICOM file, found a zip archive: name it instead of its folder.');
  }
  if (!isDicom && group !== 0x0008 && group !== 0x0800) {
    throw new ImagingError('not-dicom', 'Expected a DICOM file, found neither its mark "DICM" nor a data set.');
  }
  const vr = String.fromCharCode(reader.bytes[offset + 4]!, reader.bytes[offset + 5]!);
  if (!/^[A-Z]{2}$/.test(vr)) return IMPLICIT_LITTLE;
  return group === 0x0800 ? EXPLICIT_BIG : EXPLICIT_LITTLE;
}

/** Raw deflate data whole, never more than {@link MAX_INFLATED}. */
function inflateBounded(packed: Uint8Array): Uint8Array {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const state = { complete: false };
  const inflate = new Inflate((chunk, final) => {
    size += chunk.length;
    if (size > MAX_INFLATED) {
      throw new ImagingError('too-large', `Expected at most ${MAX_INFLATED} bytes of deflated DICOM, found more.`);
    }
    chunks.push(chunk);
    state.complete ||= final;
  });
  try {
    const step = 2 ** 16;
    for (let at = 0; at < packed.length && !state.complete; at += step) {
      inflate.push(packed.subarray(at, at + step), at + step >= packed.length);
    }
  } catch (error) {
    if (error instanceof ImagingError) throw error;
    throw new ImagingError('bad-dicom', `Expected deflated data, found damage (${messageOf(error)}).`, {
      cause: error,
    });
  }
  if (!state.complete)
    throw new ImagingError('truncated', 'Expected the end of the deflated data, found the end of the file.');
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
