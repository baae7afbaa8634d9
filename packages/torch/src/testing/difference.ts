import type { Tensor } from '../tensor.js';

/** Largest difference as a part of the reference's largest value, wherever the two tensors lie. */
export function difference(found: Tensor, expected: Tensor): number {
  const wide = expected.cpu().to('float64');
  return Number(found.cpu().to('float64').sub(wide).abs().max().item()) / (Number(wide.abs().max().item()) || 1);
}
