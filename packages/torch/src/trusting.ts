const PARTS_OF_OTHERS = /_backward(_|$)|^(cudnn|miopen|fbgemm|quantized)_/;

/** Found by `fuzz/main.ts`. */
const UNCHECKED = new Set([
  'batch_norm_update_stats',
  'copy',
  'log_sigmoid_forward',
  'mkldnn_rnn_layer',
  'native_batch_norm',
  'native_group_norm',
  'pdist',
  'range',
]);

/**
 * Whether LibTorch takes the arguments of the ATen operator `name` on trust, so that wrong ones end the process: the
 * halves of other operators, such as gradients, which LibTorch calls with arguments of its own making.
 */
export function trustsItsArguments(name: string): boolean {
  return PARTS_OF_OTHERS.test(name) || UNCHECKED.has(name);
}
