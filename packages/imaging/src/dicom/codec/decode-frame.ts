import type { PixelCodec } from '../syntaxes.js';
import type { DecodedFrame, FrameFormat } from './frame.js';
import { decodeJpeg } from './jpeg.js';
import { decodeRle } from './rle.js';
import { decodeWithWasm, isWasmCodec, loadWasmCodec } from './wasm.js';

/** Makes ready what a codec needs; only JPEG-LS, JPEG 2000 and HTJ2K need anything, and only once. */
export async function loadDicomCodec(codec: PixelCodec): Promise<void> {
  if (isWasmCodec(codec)) await loadWasmCodec(codec);
}

/** Decodes a compressed frame; throws an ImagingError where it is damaged or has another size than the header says. */
export function decodeFrame(
  codec: Exclude<PixelCodec, 'native'>,
  bytes: Uint8Array,
  format: FrameFormat,
): DecodedFrame {
  if (codec === 'rle') return decodeRle(bytes, format);
  if (codec === 'jpeg') return decodeJpeg(bytes, format);
  return decodeWithWasm(codec, bytes, format);
}
