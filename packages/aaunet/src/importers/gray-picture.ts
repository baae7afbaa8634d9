import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';

import { readGrayJpeg, type GrayPicture } from '@aaunet/imaging';
import { decode } from 'fast-png';

const MAX_BYTES = 2 ** 26;
const MAX_PNG_PIXELS = 2 ** 24;
const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47];

/** Reads a JPEG or PNG file of 8-bit gray pixels; of a PNG of equal red, green and blue, one of them. @throws Error naming the file */
export async function readGrayPicture(path: string): Promise<GrayPicture> {
  const { size } = await stat(path);
  if (size > MAX_BYTES)
    throw new Error(`Expected a picture of up to ${MAX_BYTES} bytes, found ${basename(path)} of ${size}.`);
  const bytes = new Uint8Array(await readFile(path));
  try {
    return PNG_SIGNATURE.every((byte, at) => bytes[at] === byte) ? readPng(bytes) : readGrayJpeg(bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Expected a gray JPEG or PNG picture, found ${basename(path)}: ${reason}`, { cause: error });
  }
}

function readPng(bytes: Uint8Array): GrayPicture {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // The size stands in the first chunk; it is looked at before the decoder allocates by it.
  const promised = bytes.length < 24 ? 0 : view.getUint32(16) * view.getUint32(20);
  if (promised === 0 || promised > MAX_PNG_PIXELS) {
    throw new Error(`expected up to ${MAX_PNG_PIXELS} pixels, found ${promised}.`);
  }
  const { width, height, depth, channels, data, palette } = decode(bytes, { checkCrc: true });
  if (depth !== 8 || palette !== undefined) throw new Error(`expected 8-bit gray, found ${depth} bits or a palette.`);
  const samples = new Uint16Array(width * height);
  const isColour = channels > 2;
  for (let index = 0; index < samples.length; index++) {
    const at = index * channels;
    if (isColour && (data[at] !== data[at + 1] || data[at] !== data[at + 2]))
      throw new Error('expected gray, found colours.');
    samples[index] = data[at]!;
  }
  return { rows: height, columns: width, samples };
}
