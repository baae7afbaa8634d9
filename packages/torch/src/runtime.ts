import { native, type Bfloat16Support, type NativeInfo } from './native.js';
import type { Tensor } from './tensor.js';

/** Seeds the random generators of every device. */
export function manualSeed(seed: number): void {
  native.manualSeed(seed);
}

/** The state of a device's random generator (uint8), to be given to {@link setRngState}. */
export function rngState(device = 'cpu'): Tensor {
  return native.rngState(device);
}

export function setRngState(state: Tensor, device = 'cpu'): void {
  native.setRngState(device, state);
}

/** How many threads one operator uses. */
export function numThreads(): number {
  return native.numThreads();
}

export function setNumThreads(threads: number): void {
  native.setNumThreads(threads);
}

/** Tensors that JavaScript holds in this thread, and the bytes they refer to (views count their own elements). */
export function memoryStats(): { tensors: number; bytes: number } {
  return native.memoryStats();
}

/** What this LibTorch is: version, CUDA devices, instruction set, threading. */
export function libtorchInfo(): NativeInfo {
  return native.info();
}

export function cudaAvailable(): boolean {
  return native.info().cudaDevices > 0;
}

let cpuBfloat16: Bfloat16Support | undefined;

/** How a device ('cpu', 'cuda' or 'cuda:N') takes bfloat16. CUDA devices are taken to compute in it. */
export function bfloat16On(device: string): Bfloat16Support {
  if (device !== 'cpu') return 'computed';
  return (cpuBfloat16 ??= native.info().cpuBfloat16);
}
