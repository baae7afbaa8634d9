import { ImagingError } from '../imaging-error.js';
import { Reader, type DicomElement } from './reader.js';
import { TAG, tagName } from './tags.js';

/** Longest value that is read as text: CT attributes are far shorter, and a hostile one is cut. */
const MAX_TEXT = 4096;

/** Access to the values of a data set's top-level attributes; a missing or empty one is undefined. */
export class DicomDataset {
  constructor(
    readonly bytes: Uint8Array,
    readonly littleEndian: boolean,
    readonly elements: ReadonlyMap<number, DicomElement>,
    readonly explicit = true,
    /** Character set of the data set that this is an item of. */
    readonly outerCharacterSet?: string,
  ) {}

  /** Text without padding and control characters, in UTF-8 or, as most scanners write it, Latin-1. */
  text(tag: number): string | undefined {
    const element = this.elements.get(tag);
    if (element === undefined) return undefined;
    const { offset, length } = element;
    const raw = this.bytes.subarray(offset, offset + Math.min(length, MAX_TEXT));
    const utf8 = tag !== TAG.specificCharacterSet && (this.#characterSet()?.includes('192') ?? false);
    const text = utf8 ? new TextDecoder().decode(raw) : latin1(raw);
    // eslint-disable-next-line no-control-regex
    const clean = text.replaceAll(/[\x00-\x1f\x7f-\x9f]/g, ' ').trim();
    return clean === '' ? undefined : clean;
  }

  /** The values of a multi-valued text. */
  texts(tag: number): string[] {
    return (
      this.text(tag)
        ?.split('\\')
        .map((value) => value.trim()) ?? []
    );
  }

  /** Decimal or integer strings, all finite; throws where one is no number. */
  decimals(tag: number): number[] | undefined {
    const texts = this.texts(tag);
    if (texts.length === 0) return undefined;
    return texts.map((value) => {
      const number = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value) ? Number(value) : NaN;
      if (!Number.isFinite(number)) {
        throw new ImagingError('bad-dicom', `Expected numbers in ${tagName(tag)}, found "${value.slice(0, 40)}".`);
      }
      return number;
    });
  }

  /** The first of {@link decimals}. */
  decimal(tag: number): number | undefined {
    return this.decimals(tag)?.[0];
  }

  /** A 16-bit unsigned number. */
  uint16(tag: number): number | undefined {
    const element = this.elements.get(tag);
    if (element === undefined || element.length < 2) return undefined;
    const { buffer, byteOffset } = this.bytes;
    return new DataView(buffer, byteOffset + element.offset, 2).getUint16(0, this.littleEndian);
  }

  /** The items of a sequence, none where it is missing. */
  items(tag: number): DicomDataset[] {
    const element = this.elements.get(tag);
    if (element === undefined || element.length === 0) return [];
    const { bytes, littleEndian, explicit } = this;
    return new Reader(bytes).items(element, { explicit, littleEndian }).map((elements) => {
      const isExplicit = element.vr === 'UN' ? false : explicit;
      return new DicomDataset(bytes, littleEndian, elements, isExplicit, this.#characterSet());
    });
  }

  /** Items have the character set of what holds them, unless they name their own. */
  #characterSet(): string | undefined {
    return this.text(TAG.specificCharacterSet) ?? this.outerCharacterSet;
  }
}

/** Short texts, where a TextDecoder costs more than the text. */
function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
