/** The parts that this package uses of the codecs' Emscripten modules. */
interface CornerstoneDecoder {
  getEncodedBuffer(length: number): Uint8Array;
  getDecodedBuffer(): Uint8Array;
  decode(): void;
  getFrameInfo(): {
    readonly width: number;
    readonly height: number;
    readonly bitsPerSample: number;
    readonly componentCount: number;
    readonly isSigned?: boolean;
  };
  /** Of JPEG-LS. */
  getNearLossless?(): number;
  /** Of JPEG 2000. */
  getIsReversible?(): boolean;
  delete(): void;
}

interface CornerstoneModule {
  readonly JpegLSDecoder?: new () => CornerstoneDecoder;
  readonly J2KDecoder?: new () => CornerstoneDecoder;
  readonly HTJ2KDecoder?: new () => CornerstoneDecoder;
  readonly HEAPU8: Uint8Array;
}

interface CornerstoneOptions {
  readonly locateFile?: (file: string, folder: string) => string;
  readonly print?: (text: string) => void;
  readonly printErr?: (text: string) => void;
}

type CornerstoneFactory = (options: CornerstoneOptions) => Promise<CornerstoneModule>;

declare module '@cornerstonejs/codec-charls/decodewasmjs' {
  const factory: CornerstoneFactory;
  export default factory;
}

declare module '@cornerstonejs/codec-openjpeg/decodewasmjs' {
  const factory: CornerstoneFactory;
  export default factory;
}

declare module '@cornerstonejs/codec-openjph/wasmjs' {
  const factory: CornerstoneFactory;
  export default factory;
}
