import { libtorchInfo } from '@aaunet/torch';

/** @throws Error of one sentence where LibTorch does not find the device ("cpu", "cuda" or "cuda:N") on this machine. */
export function checkDevice(device: string): void {
  if (device === 'cpu') return;
  const { cudaBuild, cudaDevices } = libtorchInfo();
  if (Number(device.split(':')[1] ?? 0) < cudaDevices) return;
  const found = cudaBuild ? `LibTorch finds ${cudaDevices} of them` : 'this LibTorch is built without CUDA';
  throw new Error(`Expected a CUDA device as "${device}", but ${found}; choose --device cpu, or ask "aaunet doctor".`);
}
