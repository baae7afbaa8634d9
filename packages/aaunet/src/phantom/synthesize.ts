export interface SynthesizeOptions {
  readonly cases?: number | undefined;
  readonly size?: number | undefined;
  readonly seed?: number | undefined;
  readonly dicom?: boolean | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Writes a phantom data set and returns its statistics. */
export function synthesize(out: string, options: SynthesizeOptions = {}): Promise<unknown> {
  return Promise.reject(new Error(`Phantoms (${options.cases ?? 51} into ${out}) are not part of this build.`));
}
