import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { ImagingError } from '../imaging-error.js';
import type { DicomAttribute } from './encode.js';
import { ctFile, type FixtureOptions } from './fixture.js';
import { decodeDicomSlice } from './pixels.js';
import { readDicomSlice } from './slice.js';
import { EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE } from './syntaxes.js';
import { TAG } from './tags.js';

function huOf(options: FixtureOptions, z = 10): { hu: number[]; clamped: number } {
  const bytes = ctFile(z, options);
  const out = new Int16Array(6);
  const { clamped } = decodeDicomSlice(bytes, readDicomSlice(bytes, 'a.dcm'), out);
  return { hu: Array.from(out), clamped };
}

const us = (tag: number, value: number): DicomAttribute => ({ tag, vr: 'US', value });
const ds = (tag: number, ...value: number[]): DicomAttribute => ({ tag, vr: 'DS', value });

const refusal = (options: FixtureOptions): ImagingError => {
  try {
    readDicomSlice(ctFile(10, options), 'a.dcm');
  } catch (error) {
    if (error instanceof ImagingError) return error;
    throw error;
  }
  throw new Error('Expected a refusal, found none.');
};

describe('encodings', () => {
  const expected = [-1000, 0, 40, 80, 1000, -490];

  it('reads the same slice from every uncompressed encoding, with and without preamble', () => {
    for (const syntax of [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG]) {
      for (const preamble of [true, false]) {
        expect(huOf({ syntax, preamble }).hu).toEqual(expected);
        const slice = readDicomSlice(ctFile(-7.25, { syntax, preamble }), 'a.dcm');
        expect(slice).toMatchObject({ rows: 2, columns: 3, rowSpacing: 0.5, columnSpacing: 0.4, thickness: 5 });
        expect(slice.position).toEqual([-100, -110, -7.25]);
        expect(slice.description).toBe('HEAD');
      }
    }
  });

  it('refuses plain pixels that call themselves compressed, and syntaxes that it does not know, by name', () => {
    expect(refusal({ syntax: '1.2.840.10008.1.2.4.70' }).message).toContain('JPEG lossless, first-order prediction');
    const error = refusal({ syntax: '1.2.3.99' });
    expect(error.code).toBe('compressed-dicom');
    expect(error.message).toContain('1.2.3.99');
  });

  it('reads UTF-8 and Latin-1 descriptions without control characters', () => {
    const described = (charset: string, bytes: Uint8Array): string =>
      readDicomSlice(
        ctFile(1, {
          change: [
            { tag: TAG.specificCharacterSet, vr: 'CS', value: charset },
            { tag: TAG.seriesDescription, vr: 'LO', value: bytes },
          ],
        }),
        'a',
      ).description;
    expect(described('ISO_IR 192', new TextEncoder().encode('Schädel\u0007'))).toBe('Schädel');
    // C1 controls too: 0x9b begins a terminal's commands as escape and bracket do.
    expect(described('ISO_IR 192', new TextEncoder().encode('Head\u009b31m'))).toBe('Head 31m');
    expect(described('ISO_IR 100', Uint8Array.of(0x48, 0x9b, 0x33))).toBe('H 3');
    expect(
      described(
        'ISO_IR 100',
        Uint8Array.from('Schädel', (c) => c.charCodeAt(0)),
      ),
    ).toBe('Schädel');
  });
});

describe('pixels', () => {
  it('drop what lies above the stored bits and extend the sign of signed ones', () => {
    const pixels = Uint16Array.of(0xf000, 0xffff, 0x0800, 0x07ff, 0x8001, 0xf830);
    const bits = [us(TAG.bitsStored, 12), us(TAG.highBit, 11), ds(TAG.rescaleIntercept, 0)];
    expect(huOf({ pixels, change: bits }).hu).toEqual([0, 4095, 2048, 2047, 1, 2096]);
    const signed = [...bits, us(TAG.pixelRepresentation, 1)];
    expect(huOf({ pixels, change: signed }).hu).toEqual([0, -1, -2048, 2047, 1, -2000]);
  });

  it('are read from 14 and 16 bits, and from bits that do not begin at the lowest', () => {
    const pixels = Uint16Array.of(0x3fff, 0xffff, 0x8000, 0x0001, 0x2000, 0);
    const with14 = [us(TAG.bitsStored, 14), us(TAG.highBit, 13), ds(TAG.rescaleIntercept, 0)];
    expect(huOf({ pixels, change: with14 }).hu).toEqual([16383, 16383, 0, 1, 8192, 0]);
    const with16 = [
      us(TAG.bitsStored, 16),
      us(TAG.highBit, 15),
      us(TAG.pixelRepresentation, 1),
      ds(TAG.rescaleIntercept, 0),
    ];
    expect(huOf({ pixels, change: with16 }).hu).toEqual([16383, -1, -32768, 1, 8192, 0]);
    const shifted = [us(TAG.bitsStored, 12), us(TAG.highBit, 15), ds(TAG.rescaleIntercept, 0)];
    expect(huOf({ pixels, change: shifted }).hu).toEqual([1023, 4095, 2048, 0, 512, 0]);
  });

  it('are rescaled with fractional slopes and intercepts, rounded half to even, and clamped where int16 ends', () => {
    const pixels = Uint16Array.of(0, 1, 3, 7, 4, 4095);
    const fractional = [ds(TAG.rescaleSlope, 0.25), ds(TAG.rescaleIntercept, -0.25)];
    expect(huOf({ pixels, change: fractional }).hu).toEqual([0, 0, 0, 2, 1, 1024]);
    expect(huOf({ pixels, change: [ds(TAG.rescaleSlope, 100)] })).toEqual({
      hu: [-1000, -900, -700, -300, -600, 32767],
      clamped: 1,
    });
  });
});

describe('refusals', () => {
  const cases: readonly [string, FixtureOptions, string, string][] = [
    ['another modality', { change: [{ tag: TAG.modality, vr: 'CS', value: 'MR' }] }, 'unsupported', 'modality MR'],
    [
      'a localizer',
      { change: [{ tag: TAG.imageType, vr: 'CS', value: ['ORIGINAL', 'PRIMARY', 'LOCALIZER'] }] },
      'unsupported',
      'localizer',
    ],
    [
      'a secondary capture',
      { change: [{ tag: TAG.sopClassUid, vr: 'UI', value: '1.2.840.10008.5.1.4.1.1.7' }] },
      'unsupported',
      'SOP class',
    ],
    ['a sagittal slice', { change: [ds(TAG.imageOrientation, 0, 1, 0, 0, 0, -1)] }, 'unsupported', 'another plane'],
    ['a skewed orientation', { change: [ds(TAG.imageOrientation, 1, 0, 0, 0.5, 1, 0)] }, 'bad-dicom', 'right angles'],
    ['several frames', { change: [{ tag: TAG.numberOfFrames, vr: 'IS', value: 3 }] }, 'unsupported', '3 frames'],
    ['colour', { change: [us(TAG.samplesPerPixel, 3)] }, 'unsupported', '3 samples'],
    ['8 bits', { change: [us(TAG.bitsAllocated, 8)] }, 'unsupported', '16 bits'],
    ['bits that lie', { change: [us(TAG.bitsStored, 40)] }, 'unsupported', '40 bits'],
    ['no position', { change: [TAG.imagePosition] }, 'bad-dicom', 'Image Position'],
    ['a position of words', { change: [{ tag: TAG.imagePosition, vr: 'LO', value: 'here' }] }, 'bad-dicom', '"here"'],
    ['no spacing', { change: [TAG.pixelSpacing] }, 'bad-dicom', 'Pixel Spacing'],
    ['spacing 0', { change: [ds(TAG.pixelSpacing, 0, 0.5)] }, 'bad-dicom', 'above 0'],
    ['slope 0', { change: [ds(TAG.rescaleSlope, 0)] }, 'bad-dicom', 'Slope'],
    ['no pixels', { change: [TAG.pixelData] }, 'bad-dicom', 'pixels'],
    ['more pixels than there are', { change: [us(TAG.rows, 60000)] }, 'truncated', '360000 bytes'],
  ];

  it.each(cases)('says why for %s', (_, options, code, words) => {
    const error = refusal(options);
    expect(error.message).toContain(words);
    expect(error.code).toBe(code);
  });

  it('calls text, emptiness and noise no DICOM', () => {
    for (const bytes of [new Uint8Array(0), new Uint8Array(500), new TextEncoder().encode('a letter to a friend')]) {
      expect(() => readDicomSlice(bytes, 'a')).toThrow('Expected a DICOM file');
    }
  });
});

describe('sequences', () => {
  const item = [0xfe, 0xff, 0x00, 0xe0];
  const itemEnd = [0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0];
  const end = [0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];
  const unknown = [0xff, 0xff, 0xff, 0xff];
  const sequence = [0x08, 0x00, 0x40, 0x11, ...Array.from('SQ', (c) => c.charCodeAt(0)), 0, 0];
  const rows = [0x28, 0x00, 0x10, 0x00, ...Array.from('US', (c) => c.charCodeAt(0)), 2, 0, 9, 0];

  it("are stepped over, whether their lengths are given or not, and their attributes are not the slice's", () => {
    const known = [...sequence, 18, 0, 0, 0, ...item, 10, 0, 0, 0, ...rows];
    const open = [
      ...sequence,
      ...unknown,
      ...item,
      ...unknown,
      ...rows,
      ...itemEnd,
      ...item,
      10,
      0,
      0,
      0,
      ...rows,
      ...end,
    ];
    const nested = [...sequence, ...unknown, ...item, ...unknown, ...open, ...itemEnd, ...end];
    for (const raw of [known, open, nested]) {
      expect(readDicomSlice(ctFile(1, { raw: Uint8Array.from(raw) }), 'a').rows).toBe(2);
    }
  });

  it('are read as implicit VR where an unknown element has no length', () => {
    const un = [0x09, 0x00, 0x01, 0x10, ...Array.from('UN', (c) => c.charCodeAt(0)), 0, 0, ...unknown];
    const implicitRows = [0x28, 0x00, 0x10, 0x00, 2, 0, 0, 0, 9, 0];
    const raw = Uint8Array.from([...un, ...item, ...unknown, ...implicitRows, ...itemEnd, ...end]);
    expect(readDicomSlice(ctFile(1, { raw }), 'a').rows).toBe(2);
  });

  it('nested without end are refused, not followed', () => {
    const raw = Uint8Array.from(
      Array.from({ length: 5000 }, () => [...sequence, ...unknown, ...item, ...unknown]).flat(),
    );
    expect(refusal({ raw }).message).toContain('nested up to 16');
  });
});

describe('hostile files', () => {
  it('cut anywhere end in an ImagingError', () => {
    const whole = ctFile(10);
    for (let length = 0; length < whole.length; length++) {
      expect(() => readDicomSlice(whole.subarray(0, length), 'a')).toThrow(ImagingError);
    }
  });

  it('changed anywhere give a slice or an ImagingError, in every encoding', () => {
    const bases = [EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG].map((syntax) => ctFile(10, { syntax }));
    const edit = fc.tuple(fc.double({ min: 0, max: 0.9999, noNaN: true }), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.constantFrom(...bases), fc.array(edit, { minLength: 1, maxLength: 10 }), (whole, edits) => {
        const bytes = whole.slice();
        for (const [place, value] of edits) bytes[128 + Math.floor(place * (bytes.length - 128))] = value;
        try {
          const slice = readDicomSlice(bytes, 'a');
          const size = slice.rows * slice.columns;
          expect(size * 2).toBeLessThanOrEqual(bytes.length);
          decodeDicomSlice(bytes, slice, new Int16Array(size));
        } catch (error) {
          expect(error).toBeInstanceOf(ImagingError);
        }
      }),
      { numRuns: 6000 },
    );
  });
});
