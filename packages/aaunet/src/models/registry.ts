/** What `aaunet models` says of a network. */
export interface ModelInfo {
  readonly name: string;
  readonly title: string;
  readonly parameters: number;
  /** Billions of floating-point operations for one image of 512x512. */
  readonly gflop: number;
  readonly reference: string;
}

/** The networks that can be trained, in the order of the paper's Table I. */
export function listModels(): Promise<ModelInfo[]> {
  return Promise.reject(new Error('The registry is not part of this build.'));
}
