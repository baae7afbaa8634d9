import { LABEL_NUMBERS, LABELS, NETWORK_WINDOW } from '@aaunet/imaging';

import { pointwiseOnnx } from './testing-onnx.js';

const SIZE = 96;
const METADATA = {
  format: 'aaunet-model-1',
  software: 'test',
  model: 'pointwise',
  labels: LABEL_NUMBERS,
  annotated: LABELS.map(({ name }) => name),
  untyped: [],
  window: NETWORK_WINDOW,
  slices: 3,
  size: SIZE,
  fit: 'pad',
  precision: 'fp32',
  synthetic: true,
  sha256: 'ab'.repeat(32),
  export: { precision: 'fp32', software: 'test' },
};

/**
 * A network that marks what is denser than brain as SDH, and bone as EDH, from three slices.
 *
 * @param batch slices that it insists on
 */
export function densityModel(metadata: object = {}, batch?: number): Uint8Array {
  const weight = new Float32Array(24);
  const bias = new Float32Array(8);
  for (const [label, factor, threshold] of [
    [2, 20, 0.53],
    [4, 60, 0.62],
  ] as const) {
    weight.set([factor / 4, factor / 2, factor / 4], label * 3);
    bias[label] = -factor * threshold;
  }
  const about = { ...METADATA, ...metadata };
  return pointwiseOnnx(weight, bias, { size: about.size, batch }, about);
}
