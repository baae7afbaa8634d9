import { native } from './native.js';
import { aten } from './operators.js';
import {
  ARRAYS,
  type Dtype,
  type MemoryFormat,
  type Scalar,
  type Tensor,
  type TensorOptions,
  type TypedArray,
} from './tensor.js';

const DTYPE_OF_ARRAY = new Map<string, Dtype>(
  Object.entries(ARRAYS).map(([dtype, constructor]) => [constructor.name, dtype as Dtype]),
);

/**
 * A new tensor with a copy of a typed array's elements, row-major.
 *
 * @throws if the shape does not take exactly as many elements.
 */
export function fromTypedArray(data: TypedArray, shape: readonly number[], options: TensorOptions = {}): Tensor {
  // The tag is the element type's, for a subclass such as Buffer too.
  const dtype = ArrayBuffer.isView(data) ? DTYPE_OF_ARRAY.get(data[Symbol.toStringTag]) : undefined;
  if (!dtype)
    throw new TypeError(
      `fromTypedArray: expected a typed array of a tensor's dtype, got ${Object.prototype.toString.call(data)}.`,
    );
  const made = native.fromBytes(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), shape, dtype);
  return moved(made, options);
}

/** A new tensor of the memory's bytes (little endian, row-major) as `dtype`. */
export function fromBytes(bytes: Uint8Array, shape: readonly number[], dtype: Dtype): Tensor {
  return native.fromBytes(bytes, shape, dtype);
}

function moved(tensor: Tensor, options: TensorOptions): Tensor {
  const { dtype = tensor.dtype, device = 'cpu' } = options;
  if (dtype === tensor.dtype && device === tensor.device) return tensor;
  const result = tensor.to({ dtype, device });
  tensor.dispose();
  return result;
}

export type NestedNumbers = number | boolean | readonly NestedNumbers[];

function shapeOf(value: NestedNumbers): number[] {
  return Array.isArray(value) ? [value.length, ...(value.length > 0 ? shapeOf(value[0] as NestedNumbers) : [])] : [];
}

function flatten(value: NestedNumbers, shape: readonly number[], out: number[]): void {
  if (typeof value === 'number' || typeof value === 'boolean') {
    if (shape.length > 0)
      throw new TypeError('tensor: expected nested arrays of equal lengths, got a number among arrays.');
    out.push(Number(value));
    return;
  }
  if (!Array.isArray(value))
    throw new TypeError(`tensor: expected numbers or nested arrays of them, got ${typeof value}.`);
  if (value.length !== shape[0])
    throw new TypeError(
      `tensor: expected nested arrays of equal lengths, got ${value.length} among ${shape[0] ?? 'numbers'}.`,
    );
  for (const item of value as readonly NestedNumbers[]) flatten(item, shape.slice(1), out);
}

/** A new tensor from (nested) numbers; float32 unless said otherwise. */
export function tensor(values: NestedNumbers, options: TensorOptions = {}): Tensor {
  const shape = shapeOf(values);
  const flat: number[] = [];
  flatten(values, shape, flat);
  return fromTypedArray(new Float64Array(flat), shape, { dtype: 'float32', ...options });
}

export function zeros(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return aten.zeros(shape, options);
}

export function ones(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return aten.ones(shape, options);
}

/** Uninitialised memory; `pinned` memory is what a CUDA device copies from by itself. */
export function empty(
  shape: readonly number[],
  options: TensorOptions & { memoryFormat?: MemoryFormat; pinned?: boolean } = {},
): Tensor {
  const { memoryFormat, pinned, ...rest } = options;
  return aten.empty.memory_format(shape, {
    ...rest,
    ...(memoryFormat && { memory_format: memoryFormat }),
    ...(pinned && { pin_memory: true }),
  });
}

export function full(shape: readonly number[], value: Scalar, options: TensorOptions = {}): Tensor {
  return aten.full(shape, value, { dtype: 'float32', ...options });
}

export function arange(end: number, options: TensorOptions = {}): Tensor {
  return aten.arange(end, options);
}

/** Uniform in [0, 1). */
export function rand(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return aten.rand(shape, options);
}

/** Standard normal. */
export function randn(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return aten.randn(shape, options);
}

/** Joins tensors along an existing dimension. */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  return aten.cat(tensors, dim);
}

/** Joins tensors along a new dimension. */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  return aten.stack(tensors, dim);
}
