/** What the header says of a compressed frame; a code stream that says otherwise is refused before it is decoded. */
export interface FrameFormat {
  readonly rows: number;
  readonly columns: number;
  /** Bits of a stored sample, 8 or 16. */
  readonly bitsAllocated: number;
}

/** A decoded frame of one sample a pixel. */
export interface DecodedFrame {
  /** Stored values, row-major; of signed values the low 16 bits. */
  readonly samples: Uint16Array;
  /** Most that a value may differ from the encoded one: 0 where lossless, undefined where the encoding sets no bound. */
  readonly maxError: number | undefined;
}
