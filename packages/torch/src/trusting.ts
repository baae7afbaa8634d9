const PARTS_OF_OTHERS = /_backward(_|$)|^(cudnn|miopen|fbgemm|quantized)_/;

/** Found by `fuzz/main.ts`. */
const UNCHECKED = new Set([
  'batch_norm_update_stats',
  'choose_qparams_optimized',
  'copy',
  'from_file',
  'gru.data',
  'log_sigmoid_forward',
  'lstm.data',
  'lu_unpack.out',
  'mkldnn_rnn_layer',
  'native_batch_norm',
  'native_group_norm',
  'pdist',
  'range',
  'rnn_relu.data',
  'rnn_tanh.data',
]);

/**
 * Whether LibTorch takes the arguments of the ATen operator `name.overload` on trust, so that wrong ones end the process, never return
 * or write a file of the caller's naming: above all the halves of other operators, such as gradients, which LibTorch calls with
 * arguments of its own making.
 */
export function trustsItsArguments(name: string, overload: string): boolean {
  return PARTS_OF_OTHERS.test(name) || UNCHECKED.has(name) || UNCHECKED.has(`${name}.${overload}`);
}
