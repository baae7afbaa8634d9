import { ImagingError } from '../imaging-error.js';

export const IMPLICIT_LITTLE = '1.2.840.10008.1.2';
export const EXPLICIT_LITTLE = '1.2.840.10008.1.2.1';
export const EXPLICIT_BIG = '1.2.840.10008.1.2.2';
export const DEFLATED = '1.2.840.10008.1.2.1.99';

/** How pixels are packed; `native` is not at all. */
export type PixelCodec = 'native' | 'rle' | 'jpeg' | 'jpeg-ls' | 'jpeg-2000' | 'htj2k';

export interface TransferSyntax {
  readonly uid: string;
  readonly name: string;
  readonly codec: PixelCodec;
  readonly explicit: boolean;
  readonly littleEndian: boolean;
  /** Whether decoded values may differ from those that were encoded. */
  readonly lossy: boolean;
}

const syntax = (uid: string, name: string, codec: PixelCodec = 'native', lossy = false): TransferSyntax => ({
  uid,
  name,
  codec,
  explicit: uid !== IMPLICIT_LITTLE,
  littleEndian: uid !== EXPLICIT_BIG,
  lossy,
});

const SYNTAXES: readonly TransferSyntax[] = [
  syntax(IMPLICIT_LITTLE, 'implicit VR little endian'),
  syntax(EXPLICIT_LITTLE, 'explicit VR little endian'),
  syntax(EXPLICIT_BIG, 'explicit VR big endian'),
  syntax(DEFLATED, 'deflated explicit VR little endian'),
  syntax('1.2.840.10008.1.2.4.50', 'JPEG baseline', 'jpeg', true),
  syntax('1.2.840.10008.1.2.4.51', 'JPEG extended', 'jpeg', true),
  syntax('1.2.840.10008.1.2.4.57', 'JPEG lossless', 'jpeg'),
  syntax('1.2.840.10008.1.2.4.70', 'JPEG lossless, first-order prediction', 'jpeg'),
  syntax('1.2.840.10008.1.2.4.80', 'JPEG-LS lossless', 'jpeg-ls'),
  syntax('1.2.840.10008.1.2.4.81', 'JPEG-LS near-lossless', 'jpeg-ls', true),
  syntax('1.2.840.10008.1.2.4.90', 'JPEG 2000 lossless', 'jpeg-2000'),
  syntax('1.2.840.10008.1.2.4.91', 'JPEG 2000', 'jpeg-2000', true),
  syntax('1.2.840.10008.1.2.4.201', 'high-throughput JPEG 2000 lossless', 'htj2k'),
  syntax('1.2.840.10008.1.2.4.202', 'high-throughput JPEG 2000 lossless with RPCL', 'htj2k'),
  syntax('1.2.840.10008.1.2.4.203', 'high-throughput JPEG 2000', 'htj2k', true),
  syntax('1.2.840.10008.1.2.5', 'RLE lossless', 'rle'),
];

const BY_UID = new Map(SYNTAXES.map((one) => [one.uid, one]));

/** The transfer syntax of a UID; throws for one that this package does not read. */
export function transferSyntaxOf(uid: string): TransferSyntax {
  const known = BY_UID.get(uid);
  if (known !== undefined) return known;
  throw new ImagingError(
    'compressed-dicom',
    `Expected an uncompressed, RLE, JPEG, JPEG-LS, JPEG 2000 or HTJ2K file, found the transfer syntax ${uid.replaceAll(/[^\d.]/g, '?').slice(0, 64)}: convert it first, for instance with dcmconv.`,
  );
}
