import type { ModelFile } from '../training/model-file.js';

/** A loaded network, whatever runs it. */
export interface SliceNetwork {
  readonly file: ModelFile;
  /** Of the file with the weights. */
  readonly sha256: string;
  /**
   * @param input count x 3 x S x S: three consecutive slices as imaging's `windowToInput` gives them, S being `file.size`
   * @returns logits, count x 8 x S x S
   */
  run(input: Float32Array, count: number): Promise<Float32Array>;
  close(): Promise<void>;
}

export interface SliceNetworkOptions {
  readonly device: string;
  readonly threads?: number | undefined;
}
