import type { Volume } from '@aaunet/imaging';
import type { ModelIdentity } from './report.js';

export interface SegmentOptions {
  /** Slices done of all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A loaded network, ready for scans. */
export interface SegmentationEngine {
  readonly identity: ModelIdentity;
  /** Labels 0 to 7 of a canonical scan (HU; see imaging's `toCanonical`), at the scan's own size and geometry. */
  segment(scan: Volume<Int16Array>, options?: SegmentOptions): Promise<Volume<Uint8Array>>;
  close(): void;
}

export interface EngineOptions {
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
  readonly batch?: number | undefined;
}

/** Loads a run folder or a `.safetensors` file with its model.json beside it. */
export function loadEngine(model: string, options: EngineOptions = {}): Promise<SegmentationEngine> {
  return Promise.reject(new Error(`Loading ${model} on ${options.device ?? 'cpu'} is not part of this build.`));
}
