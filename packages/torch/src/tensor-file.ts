import { SafetensorsFile, writeSafetensors, type SafetensorsDtype, type SafetensorsSource } from './safetensors.js';
import { noGrad } from './autograd.js';
import { empty, type Dtype, type Tensor } from './tensor.js';

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
  const entries: SafetensorsSource[] = [...tensors].map(([name, tensor]) => {
    const dtype = FORMAT_NAMES[tensor.dtype as keyof typeof FORMAT_NAMES] as SafetensorsDtype | undefined;
    if (!dtype) throw new TypeError(`saveTensors: ${name} is ${tensor.dtype}, which safetensors cannot hold.`);
    const data = (): Uint8Array =>
      noGrad(() => {
        using plain = tensor.detach();
        using cpu = plain.cpu();
        using row = cpu.contiguous();
        return new Uint8Array(row.buffer());
      });
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
