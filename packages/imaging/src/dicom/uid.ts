import { sha256 } from '../sha256.js';

/**
 * A DICOM UID under 2.25 (ISO/IEC 9834-8: a UUID as a decimal number), the same for the same seed: the first 128 bits of
 * its SHA-256 with the marks of a version 8 (custom) UUID.
 */
export function uidFromSeed(seed: string): string {
  const digest = sha256(new TextEncoder().encode(seed)).slice(0, 16);
  digest[6] = (digest[6]! & 0x0f) | 0x80;
  digest[8] = (digest[8]! & 0x3f) | 0x80;
  let number = 0n;
  for (const byte of digest) number = (number << 8n) | BigInt(byte);
  return `2.25.${number}`;
}
