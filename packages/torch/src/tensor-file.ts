import { extname } from 'node:path';

import { TorchCheckpoint } from './checkpoint/torch-checkpoint.js';
import { aten } from './operators.js';
import {
  ITEM_SIZES,
  SafetensorsFile,
  writeSafetensors,
  type SafetensorsDtype,
  type SafetensorsSource,
} from './safetensors.js';
import { noGrad } from './autograd.js';
import { tidy } from './scope.js';
import { empty } from './create.js';
import type { Dtype, Tensor } from './tensor.js';

const FORMAT_NAMES = {
  bool: 'BOOL',
  uint8: 'U8',
  int8: 'I8',
  int16: 'I16',
  uint16: 'U16',
  int32: 'I32',
  uint32: 'U32',
  int64: 'I64',
  uint64: 'U64',
  float16: 'F16',
  bfloat16: 'BF16',
  float32: 'F32',
  float64: 'F64',
} as const satisfies Partial<Record<Dtype, SafetensorsDtype>>;

const DTYPES = new Map(Object.entries(FORMAT_NAMES).map(([dtype, name]) => [name, dtype as Dtype]));

/**
 * Writes tensors to a `.safetensors` file, whole or not at all; tensors elsewhere than on the CPU are copied one at a time.
 *
 * @throws when the disk is full or a dtype has no place in the format; the file that was there before stays.
 */
export function saveTensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Record<string, string> = {},
): void {
  const described = [...tensors].map(([name, tensor]) => {
    const dtype = FORMAT_NAMES[tensor.dtype as keyof typeof FORMAT_NAMES] as SafetensorsDtype | undefined;
    if (!dtype) throw new TypeError(`saveTensors: ${name} is ${tensor.dtype}, which safetensors cannot hold.`);
    const isInPlace = tensor.device === 'cpu' && tensor.isContiguous();
    return { name, dtype, tensor, isInPlace, bytes: tensor.numel * ITEM_SIZES[dtype] };
  });
  const largest = Math.max(0, ...described.map(({ isInPlace, bytes }) => (isInPlace ? 0 : bytes)));
  // An ArrayBuffer keeps its tensor's memory until it is collected: all copies share one.
  using copy = empty([largest], { dtype: 'uint8' });
  const copied = new Uint8Array(copy.buffer());
  const entries = described.map(({ name, dtype, tensor, isInPlace, bytes }): SafetensorsSource => {
    const data = (): Uint8Array =>
      tidy(() =>
        noGrad(() => {
          if (isInPlace) return new Uint8Array(tensor.detach().buffer());
          const typed = aten.view.dtype(copy.narrow(0, 0, bytes), tensor.dtype);
          typed.reshape(...tensor.shape).copy_(tensor);
          return copied.subarray(0, bytes);
        }),
      );
    return { name, dtype, shape: tensor.shape, data };
  });
  writeSafetensors(path, entries, metadata);
}

/**
 * Reads all tensors of a `.safetensors` file to the CPU, each straight into its own memory.
 *
 * @throws in one sentence when the file is not what it should be, before anything is allocated.
 */
export function loadTensors(path: string): { tensors: Map<string, Tensor>; metadata: Record<string, string> } {
  using file = SafetensorsFile.open(path);
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of file.entries) {
    const tensor = empty(entry.shape, { dtype: DTYPES.get(entry.dtype)! });
    file.read(name, new Uint8Array(tensor.buffer()));
    tensors.set(name, tensor);
  }
  return { tensors, metadata: Object.fromEntries(file.metadata) };
}

/**
 * Reads the tensors of a PyTorch checkpoint (`.pth`, `.pt`: a zip archive with a pickle) to the CPU, contiguous. The pickle is
 * read as data by a reader that knows tensors and plain containers; nothing in it is executed.
 *
 * @throws in one sentence when the file is broken or wants more than that, before anything is allocated.
 */
export function loadTorchCheckpoint(path: string): Map<string, Tensor> {
  using file = TorchCheckpoint.open(path);
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of file.tensors) {
    using span = empty([entry.span], { dtype: entry.dtype });
    file.read(entry, new Uint8Array(span.buffer()));
    using view = aten.as_strided(span, entry.shape, entry.stride);
    tensors.set(name, aten.clone(view, { memory_format: 'contiguous_format' }));
  }
  return tensors;
}

const READERS: Record<string, (path: string) => Map<string, Tensor>> = {
  '.safetensors': (path) => loadTensors(path).tensors,
  '.pth': loadTorchCheckpoint,
  '.pt': loadTorchCheckpoint,
};

/**
 * Reads a state dict by the kind of its file: `.safetensors`, or PyTorch's `.pth` and `.pt`.
 *
 * @throws in one sentence when the file is of another kind or broken.
 */
export function loadStateFile(path: string): Map<string, Tensor> {
  const read = READERS[extname(path).toLowerCase()];
  if (!read) throw new Error(`Expected weights in a ${Object.keys(READERS).join(', ')} file, got ${path}.`);
  return read(path);
}
