import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import type { Tensor } from './tensor.js';

/** An argument of an operator, as LibTorch's schema gives it. */
export interface SchemaArgument {
  name: string;
  type: string;
  keyword: boolean;
  optional: boolean;
  length?: number;
}

/** An operator of the running LibTorch. */
export interface Schema {
  name: string;
  overload: string;
  arguments: SchemaArgument[];
  returns: string[];
}

/** What the addon in `native/` exports: the whole of the native surface. */
interface NativeAddon {
  TensorHandle: abstract new () => NativeTensor;
  setTensorClass(constructor: new () => Tensor): void;
  lookup(name: string, overload: string): number | null;
  call(operator: number, ...args: unknown[]): unknown;
  schemas(): Schema[];
  backward(outputs: Tensor[], gradients: (Tensor | null)[], retainGraph: boolean): void;
  grad(
    outputs: Tensor[],
    inputs: Tensor[],
    gradients: (Tensor | null)[],
    retainGraph: boolean,
    createGraph: boolean,
    allowUnused: boolean,
  ): (Tensor | null)[];
  setGradMode(on: boolean): boolean;
  enterAutocast(device: string, enabled: boolean, dtype: string): { enabled: boolean; dtype: string };
  leaveAutocast(device: string, before: { enabled: boolean; dtype: string }): void;
  fromBytes(bytes: Uint8Array, shape: readonly number[], dtype: string): Tensor;
  startProfile(device: string): void;
  stopProfile(): ProfileRow[];
  memoryStats(): { tensors: number; bytes: number };
  numThreads(): number;
  setNumThreads(threads: number): void;
  manualSeed(seed: number): void;
  rngState(device: string): Tensor;
  setRngState(device: string, state: Tensor): void;
  info(): NativeInfo;
  joinGroup(options: {
    rank: number;
    size: number;
    host: string;
    port: number;
    isServer: boolean;
    attempt: number;
    timeoutMs: number;
    cuda: boolean;
  }): void;
  leaveGroup(): void;
  storeSet(key: string, value: string): void;
  storeGet(key: string): string | null;
  allReduce(tensor: Tensor): void;
  broadcast(tensor: Tensor, root: number): void;
  barrier(): void;
  makeReducer(names: string[], parameters: Tensor[], bucketBytes: number): number;
  prepareReducer(reducer: number): void;
  dropReducer(reducer: number): void;
  // In builds with CUDA:
  captureGraph?(device: string, body: () => void): number;
  replayGraph?(graph: number): void;
  dropGraph?(graph: number): void;
  synchronize?(device: string): void;
  peakMemory?(device: string): number;
}

/** What a profile says of one operator. */
export interface ProfileRow {
  name: string;
  calls: number;
  /** Time in the operator itself, without the operators that it calls. */
  seconds: number;
}

/**
 * How a processor takes bfloat16: it computes in it; it keeps tensors in it and computes convolutions in float32, as fast and
 * in half the memory; or it is slower than in float32.
 */
export type Bfloat16Support = 'computed' | 'stored' | 'slow';

export interface NativeInfo {
  libtorch: string;
  cudaBuild: boolean;
  cudaDevices: number;
  /** Whether the fused operators have kernels for CUDA devices. */
  cudaKernels: boolean;
  mkldnn: boolean;
  cpuCapability: string;
  cpuBfloat16: Bfloat16Support;
  parallel: string;
}

/** The native half of a Tensor; documented in `Tensor`, which extends it. */
export interface NativeTensor {
  readonly shape: number[];
  readonly strides: number[];
  readonly dtype: string;
  readonly device: string;
  readonly numel: number;
  readonly byteLength: number;
  readonly disposed: boolean;
  readonly isLeaf: boolean;
  requiresGrad: boolean;
  grad: Tensor | null;
  isContiguous(memoryFormat?: string): boolean;
  sharesMemory(other: Tensor): boolean;
  item(): number | boolean;
  buffer(): ArrayBuffer;
  dispose(): void;
}

const build = new URL('../build/', import.meta.url);

function whyMissing(): string {
  const info = new URL('info.json', build);
  if (!existsSync(info)) return 'The addon has not been built.';
  const { error } = JSON.parse(readFileSync(info, 'utf8')) as { error?: string };
  return error ?? 'The addon was built, but its file is gone.';
}

/**
 * Threads of LibTorch's OpenMP wait for one another thousands of times a second. By default they spin for milliseconds before they
 * sleep: beside any other program on the same cores a training step then takes several times as long. Must come before
 * LibTorch is loaded; what the user has set stays.
 */
function spinBriefly(): void {
  if (process.env['OMP_WAIT_POLICY'] === undefined) process.env['GOMP_SPINCOUNT'] ??= '10000';
}

function load(): NativeAddon {
  spinBriefly();
  const path = fileURLToPath(new URL('aaunet_torch.node', build));
  const remedy = "Run 'npm rebuild @aaunet/torch' (set LIBTORCH to a folder with LibTorch where none is found).";
  if (!existsSync(path)) throw new Error(`LibTorch is not available: ${whyMissing()} ${remedy}`);
  try {
    return createRequire(import.meta.url)(path) as NativeAddon;
  } catch (error) {
    throw new Error(`LibTorch could not be loaded: ${(error as Error).message}. ${remedy}`, { cause: error });
  }
}

/** The addon; importing this module fails with a remedy where it is missing. */
export const native = load();
