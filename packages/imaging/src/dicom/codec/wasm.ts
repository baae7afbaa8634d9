import { ImagingError, messageOf } from '../../imaging-error.js';
import type { DecodedFrame, FrameFormat } from './frame.js';

/** Codecs that are WebAssembly and are loaded when a file first needs them. */
export type WasmCodec = 'jpeg-ls' | 'jpeg-2000' | 'htj2k';

interface Source {
  readonly load: () => Promise<{ readonly default: CornerstoneFactory }>;
  readonly decoder: (module: CornerstoneModule) => (new () => CornerstoneDecoder) | undefined;
}

const SOURCES: Readonly<Record<WasmCodec, Source>> = {
  'jpeg-ls': {
    load: () => import('@cornerstonejs/codec-charls/decodewasmjs'),
    decoder: (module) => module.JpegLSDecoder,
  },
  'jpeg-2000': {
    load: () => import('@cornerstonejs/codec-openjpeg/decodewasmjs'),
    decoder: (module) => module.J2KDecoder,
  },
  htj2k: {
    load: () => import('@cornerstonejs/codec-openjph/wasmjs'),
    decoder: (module) => module.HTJ2KDecoder,
  },
};

/** WebAssembly memory never shrinks; a module that has grown beyond this is let go of. */
const MAX_HEAP_BYTES = 2 ** 28;

/**
 * CharLS notices that a scan is cut off only at a marker: at the end of the buffer it counts zeros until 32 bits overflow,
 * for half a minute. Behind a sound stream a second end mark is never read.
 */
const JPEG_END = Uint8Array.of(0xff, 0xd9);
const NO_END = new Uint8Array();

const modules = new Map<WasmCodec, CornerstoneModule>();
let locate: ((file: string) => string) | undefined;

/**
 * Says where a web page finds the codecs' `.wasm` files (`charlswasm_decode.wasm`, `openjpegwasm_decode.wasm`,
 * `openjphjs.wasm`), which its bundler or server must offer. Node finds them by itself.
 */
export function setCodecLocation(locator: (file: string) => string): void {
  locate = locator;
}

export function isWasmCodec(codec: string): codec is WasmCodec {
  return Object.hasOwn(SOURCES, codec);
}

/** Makes a codec ready for {@link decodeWithWasm}; costs nothing where it is. */
export async function loadWasmCodec(codec: WasmCodec): Promise<void> {
  if (modules.has(codec)) return;
  const silent = (): void => undefined;
  try {
    const { default: factory } = await SOURCES[codec].load();
    const options = { print: silent, printErr: silent, ...(locate && { locateFile: locate }) };
    modules.set(codec, await factory(options));
  } catch (error) {
    throw new ImagingError(
      'unsupported',
      `Expected the ${codec} decoder to load, found: ${messageOf(error)}. In a browser, say where its .wasm file is with setCodecLocation.`,
      { cause: error },
    );
  }
}

/** Decodes a grey frame with a loaded codec; the code stream's own size is checked before it sees any of it. */
export function decodeWithWasm(codec: WasmCodec, bytes: Uint8Array, format: FrameFormat): DecodedFrame {
  const module = modules.get(codec);
  if (module === undefined) {
    throw new ImagingError('bad-argument', `Expected loadDicomCodec('${codec}') before decoding, found it not called.`);
  }
  if (codec === 'jpeg-ls') checkJpegLs(bytes, format);
  else checkJpeg2000(bytes, format);
  const Decoder = SOURCES[codec].decoder(module)!;
  let isSound = false;
  try {
    const decoder = new Decoder();
    const end = codec === 'jpeg-ls' ? JPEG_END : NO_END;
    const encoded = decoder.getEncodedBuffer(bytes.length + end.length);
    encoded.set(bytes);
    encoded.set(end, bytes.length);
    decoder.decode();
    const frame = readOut(decoder, format);
    decoder.delete();
    isSound = true;
    return frame;
  } catch (error) {
    if (error instanceof ImagingError) throw error;
    throw new ImagingError('bad-dicom', `Expected ${codec} pixels, found damage in the compressed data.`, {
      cause: error,
    });
  } finally {
    // After a trap the module's memory is in no known state.
    if (!isSound || module.HEAPU8.length > MAX_HEAP_BYTES) modules.delete(codec);
  }
}

function readOut(decoder: CornerstoneDecoder, { rows, columns, bitsAllocated }: FrameFormat): DecodedFrame {
  const { width, height, bitsPerSample, componentCount } = decoder.getFrameInfo();
  const decoded = decoder.getDecodedBuffer();
  const width8 = bitsPerSample <= 8;
  const size = rows * columns * (width8 ? 1 : 2);
  if (width !== columns || height !== rows || componentCount !== 1 || decoded.length !== size) {
    throw new ImagingError('bad-dicom', `Expected ${rows} x ${columns} grey pixels, found others after decoding.`);
  }
  if (bitsPerSample > bitsAllocated) {
    throw new ImagingError('bad-dicom', `Expected at most ${bitsAllocated} bits a pixel, found ${bitsPerSample}.`);
  }
  const near = decoder.getNearLossless?.();
  const isReversible = decoder.getIsReversible?.() ?? true;
  // slice() copies out of the codec's memory, which is overwritten by the next frame.
  const samples = width8 ? Uint16Array.from(decoded) : new Uint16Array(decoded.slice().buffer);
  return { samples, maxError: near ?? (isReversible ? 0 : undefined) };
}

const damaged = (what: string): ImagingError =>
  new ImagingError('bad-dicom', `Expected a ${what} code stream of the size that the header says, found another.`);

/** The frame header (SOF55) must have the header's size and one component. */
function checkJpegLs(bytes: Uint8Array, { rows, columns }: FrameFormat): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 2; at + 10 <= bytes.length; at += 2 + view.getUint16(at + 2)) {
    if (bytes[at] !== 0xff) break;
    if (bytes[at + 1] !== 0xf7) continue;
    if (view.getUint16(at + 5) === rows && view.getUint16(at + 7) === columns && bytes[at + 9] === 1) return;
    break;
  }
  throw damaged('JPEG-LS');
}

/** Tiles are few in practice; a hostile stream has millions. */
const MAX_TILES = 4096;

/** SIZ must have the header's size, one component and few tiles; what is cut would be decoded to a blurred picture. */
function checkJpeg2000(bytes: Uint8Array, { rows, columns }: FrameFormat): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 49 || view.getUint32(0) !== 0xff4fff51) throw damaged('JPEG 2000');
  const [x1, y1, x0, y0] = [8, 12, 16, 20].map((at) => view.getUint32(at)) as [number, number, number, number];
  const [tileX, tileY] = [view.getUint32(24), view.getUint32(28)];
  const isSized = x1 - x0 === columns && y1 - y0 === rows && view.getUint16(40) === 1;
  const tiles = Math.ceil(x1 / tileX) * Math.ceil(y1 / tileY);
  const isUnsampled = bytes[43] === 1 && bytes[44] === 1 && (bytes[42]! & 0x7f) < 16;
  if (!isSized || !isUnsampled || !(tiles <= MAX_TILES) || x0 >= 2 ** 16 || y0 >= 2 ** 16) throw damaged('JPEG 2000');
  let end = bytes.length;
  // Writers pad to an even length with 00, and some with FF.
  while (end > 2 && (bytes[end - 1] === 0 || bytes[end - 1] === 0xff)) end--;
  if (bytes[end - 2] !== 0xff || bytes[end - 1] !== 0xd9) {
    throw new ImagingError('truncated', 'Expected the end mark of the JPEG 2000 code stream, found it cut off.');
  }
  checkTileParts(view, end - 2, tiles);
}

const SOT = 0xff90;

/** Lengths of main header segments and tile parts must lead from one to the next, or a decoder may never come to an end. */
function checkTileParts(view: DataView, end: number, tiles: number): void {
  let at = 2;
  while (at + 4 <= end && view.getUint16(at) !== SOT) {
    const length = view.getUint16(at + 2);
    if (view.getUint16(at) >>> 8 !== 0xff || length < 2) throw damaged('JPEG 2000');
    at += 2 + length;
  }
  if (at + 12 > end) throw damaged('JPEG 2000');
  while (at < end) {
    if (at + 12 > end || view.getUint16(at) !== SOT || view.getUint16(at + 2) !== 10) throw damaged('JPEG 2000');
    // 0 stands for all that is left.
    const length = view.getUint32(at + 6) || end - at;
    if (view.getUint16(at + 4) >= tiles || length < 14 || at + length > end) throw damaged('JPEG 2000');
    at += length;
  }
}
