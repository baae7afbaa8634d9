export interface BenchOptions {
  readonly model: string;
  readonly size: number;
  readonly batch: number;
  readonly dtype: 'bf16' | 'fp32';
  readonly phase: 'train' | 'infer' | 'both';
  readonly device: string;
  readonly threads?: number | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Medians in seconds an image (null where the phase was not measured), and the settings. */
export interface BenchResult {
  readonly train_s_per_image: number | null;
  readonly infer_s_per_image: number | null;
  readonly peak_rss_gib: number;
  readonly settings: Readonly<Record<string, string | number>>;
}

/** Measures training and inference of a network. */
export function bench(options: BenchOptions): Promise<BenchResult> {
  return Promise.reject(new Error(`The benchmark of ${options.model} is not part of this build.`));
}
