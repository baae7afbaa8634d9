import { writeFile } from 'node:fs/promises';

import { CLASS_COUNT, LABEL_NUMBERS, LABELS, NETWORK_WINDOW } from '@aaunet/imaging';

import { METADATA_KEY, type ExportedModel } from '../export/exported-model.js';
import { encodeOnnx } from '../export/onnx-file.js';

/** What an exported network of one convolution says of itself. */
export const POINTWISE: ExportedModel = {
  format: 'aaunet-model-1',
  software: 'test',
  model: 'pointwise',
  labels: LABEL_NUMBERS,
  annotated: LABELS.map(({ name }) => name),
  untyped: [],
  window: NETWORK_WINDOW,
  size: 32,
  fit: 'pad',
  slices: 3,
  precision: 'fp32',
  synthetic: true,
  approximateHu: false,
  sha256: 'ab'.repeat(32),
  export: { precision: 'fp32', software: 'test' },
};

const bytesOf = (values: readonly number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

/**
 * Writes a network whose logits are `slope` * value + `offset` of the centre slice, a line a class, with this description:
 * small, loaded without LibTorch, and its answer is known.
 */
export async function writePointwiseModel(
  path: string,
  lines: readonly (readonly [slope: number, offset: number])[],
  description: object = {},
): Promise<void> {
  const about = { ...POINTWISE, ...description };
  const { size } = about;
  const weight = Array.from({ length: CLASS_COUNT }, (_, label) => [0, lines[label]?.[0] ?? 0, 0]).flat();
  const bias = Array.from({ length: CLASS_COUNT }, (_, label) => lines[label]?.[1] ?? 0);
  const graph = {
    name: 'pointwise',
    nodes: [{ type: 'Conv', inputs: ['image', 'weight', 'bias'], outputs: ['logits'] }],
    initializers: [
      { name: 'weight', type: 'float32' as const, shape: [CLASS_COUNT, 3, 1, 1], bytes: bytesOf(weight) },
      { name: 'bias', type: 'float32' as const, shape: [CLASS_COUNT], bytes: bytesOf(bias) },
    ],
    inputs: [{ name: 'image', type: 'float32' as const, shape: ['batch', 3, size, size] }],
    outputs: [{ name: 'logits', type: 'float32' as const, shape: ['batch', CLASS_COUNT, size, size] }],
  };
  const metadata = { [METADATA_KEY]: JSON.stringify(about) };
  const file = encodeOnnx(graph, { producer: 'test', version: '1', description: '', metadata });
  await writeFile(path, Buffer.concat(file));
}
