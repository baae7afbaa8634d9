import { ImagingError } from '../../imaging-error.js';
import type { DecodedFrame, FrameFormat } from './frame.js';

/** Decodes DICOM's RLE (PS3.5, annex G): a segment of PackBits for each byte of a sample, the highest byte first. */
export function decodeRle(bytes: Uint8Array, { rows, columns, bitsAllocated }: FrameFormat): DecodedFrame {
  const segments = bitsAllocated / 8;
  if (bytes.length < 64) throw new ImagingError('truncated', 'Expected an RLE header of 64 bytes, found fewer.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint32(0, true);
  if (count !== segments) {
    throw new ImagingError('bad-dicom', `Expected ${segments} RLE segments, found ${count}.`);
  }
  const samples = new Uint16Array(rows * columns);
  for (let segment = 0; segment < segments; segment++) {
    const start = view.getUint32(4 + 4 * segment, true);
    const end = segment + 1 < segments ? view.getUint32(8 + 4 * segment, true) : bytes.length;
    if (start < 64 || end < start || end > bytes.length) {
      throw new ImagingError('bad-dicom', 'Expected RLE segments inside the frame, found others.');
    }
    unpack(bytes.subarray(start, end), samples, 8 * (segments - 1 - segment));
  }
  return { samples, maxError: 0 };
}

function unpack(packed: Uint8Array, samples: Uint16Array, shift: number): void {
  let at = 0;
  let out = 0;
  while (out < samples.length && at < packed.length) {
    const control = packed[at++]!;
    if (control < 128) {
      const count = Math.min(control + 1, samples.length - out, packed.length - at);
      for (let k = 0; k < count; k++) samples[out++]! |= packed[at++]! << shift;
    } else if (control > 128) {
      const value = (packed[at++] ?? 0) << shift;
      const end = Math.min(out + 257 - control, samples.length);
      while (out < end) samples[out++]! |= value;
    }
  }
  if (out < samples.length) {
    throw new ImagingError('truncated', `Expected ${samples.length} RLE samples, found ${out}.`);
  }
}
