import { aten } from './operators.js';
import { native, type NativeTensor } from './native.js';
import { adopt } from './scope.js';

export type Dtype =
  | 'float32'
  | 'float64'
  | 'bfloat16'
  | 'float16'
  | 'int64'
  | 'int32'
  | 'int16'
  | 'int8'
  | 'uint8'
  | 'bool'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'complex64'
  | 'complex128'
  | 'float8_e4m3fn'
  | 'float8_e5m2';

export type MemoryFormat = 'contiguous_format' | 'preserve_format' | 'channels_last' | 'channels_last_3d';

/** A number without a fraction is passed as an integer, as PyTorch does with Python's `int`. */
export type Scalar = number | bigint | boolean;

/** The array whose elements a tensor of a dtype is made from. */
export const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
} as const;

/** The array whose elements have a dtype's layout; half precision and booleans come as their bits. */
const VIEWS = { ...ARRAYS, bool: Uint8Array, bfloat16: Uint16Array, float16: Uint16Array } as const;

export type TypedArray =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

type TypedArrayOf<D extends Dtype> = D extends keyof typeof VIEWS ? InstanceType<(typeof VIEWS)[D]> : never;

export interface TensorOptions {
  dtype?: Dtype;
  device?: string;
}

// The addon makes tensors by calling this class's constructor; its own is the base class, which TypeScript sees as the
// plain interface so that the members below can have narrower types.
const TensorHandle = native.TensorHandle as abstract new () => Omit<NativeTensor, 'dtype'>;

/**
 * An n-dimensional array in LibTorch's memory, with its gradient.
 *
 * Made by factories and operators; lives until {@link dispose}d (`using x = …` does so at the end of the block) or the
 * `tidy` scope it was made in ends. Methods are ATen operators under their own names; those that end in `_` work in place.
 * For operators without a method see `aten`.
 */
export class Tensor extends TensorHandle implements Disposable {
  declare readonly dtype: Dtype;

  /** What a Module takes the tensor for; see `parameter` and `buffer` in nn/module.ts. */
  role?: 'parameter' | 'buffer';

  constructor() {
    super();
    adopt(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  get ndim(): number {
    return this.shape.length;
  }

  /** The size of dimension `dim`; negative dimensions count from the end. */
  size(dim: number): number {
    const shape = this.shape;
    const size = shape[dim < 0 ? dim + shape.length : dim];
    if (size === undefined)
      throw new RangeError(`size: a tensor of shape [${shape.join(', ')}] has no dimension ${dim}.`);
    return size;
  }

  /**
   * The elements without a copy, row-major: writing to the array writes to the tensor. The array keeps the memory alive
   * even when the tensor is disposed. bfloat16 and float16 come as their bits.
   *
   * @throws unless the tensor is contiguous and on the CPU.
   */
  data<D extends Dtype>(dtype: D): TypedArrayOf<D> {
    if (this.dtype !== dtype) throw new TypeError(`data: expected a tensor of ${dtype}, got ${this.dtype}; use to().`);
    if (!(dtype in VIEWS)) throw new TypeError(`data: ${dtype} has no typed array; convert with to() first.`);
    const View = VIEWS[dtype as keyof typeof VIEWS];
    return new View(this.buffer()) as TypedArrayOf<D>;
  }

  /** The elements as JavaScript numbers, row-major, whatever the dtype, layout and device. */
  toArray(): number[] {
    using cpu = aten.to.device(this, 'cpu', 'float64');
    // Not by `to` alone: it leaves an expanded tensor as it is.
    using contiguous = aten.contiguous(cpu);
    using plain = contiguous.detach();
    return Array.from(plain.data('float64'));
  }

  /**
   * This tensor with another dtype, device or memory format; the tensor itself where nothing changes. From pinned memory a device
   * copies while the caller goes on.
   */
  to(target: Dtype | { dtype?: Dtype; device?: string; memoryFormat?: MemoryFormat }): Tensor {
    const {
      dtype = this.dtype,
      device = this.device,
      memoryFormat,
    } = typeof target === 'string' ? { dtype: target } : target;
    const isAsynchronous = device.startsWith('cuda') && this.device === 'cpu';
    return aten.to.device(this, device, dtype, isAsynchronous, false, memoryFormat);
  }

  cpu(): Tensor {
    return this.to({ device: 'cpu' });
  }

  /** Adds the gradients of this scalar to the `grad` of every leaf it came from. */
  backward(options: { gradient?: Tensor; retainGraph?: boolean } = {}): void {
    native.backward([this], [options.gradient ?? null], options.retainGraph ?? false);
  }

  add(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? aten.add.Tensor(this, other) : aten.add.Scalar(this, other);
  }

  sub(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? aten.sub.Tensor(this, other) : aten.sub.Scalar(this, other);
  }

  mul(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? aten.mul.Tensor(this, other) : aten.mul.Scalar(this, other);
  }

  div(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? aten.div.Tensor(this, other) : aten.div.Scalar(this, other);
  }

  pow(exponent: Tensor | Scalar): Tensor {
    return exponent instanceof Tensor ? aten.pow.Tensor_Tensor(this, exponent) : aten.pow.Tensor_Scalar(this, exponent);
  }

  eq(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? aten.eq.Tensor(this, other) : aten.eq.Scalar(this, other);
  }

  add_(other: Tensor | Scalar): this {
    if (other instanceof Tensor) aten.add_.Tensor(this, other).dispose();
    else aten.add_.Scalar(this, other).dispose();
    return this;
  }

  sub_(other: Tensor | Scalar): this {
    if (other instanceof Tensor) aten.sub_.Tensor(this, other).dispose();
    else aten.sub_.Scalar(this, other).dispose();
    return this;
  }

  mul_(other: Tensor | Scalar): this {
    if (other instanceof Tensor) aten.mul_.Tensor(this, other).dispose();
    else aten.mul_.Scalar(this, other).dispose();
    return this;
  }

  /** Copies `source` into this tensor, broadcasting and converting. */
  copy_(source: Tensor): this {
    aten.copy_(this, source).dispose();
    return this;
  }

  fill_(value: Scalar): this {
    aten.fill_.Scalar(this, value).dispose();
    return this;
  }

  zero_(): this {
    aten.zero_(this).dispose();
    return this;
  }

  neg(): Tensor {
    return aten.neg(this);
  }

  exp(): Tensor {
    return aten.exp(this);
  }

  log(): Tensor {
    return aten.log(this);
  }

  abs(): Tensor {
    return aten.abs(this);
  }

  sqrt(): Tensor {
    return aten.sqrt(this);
  }

  relu(): Tensor {
    return aten.relu(this);
  }

  sigmoid(): Tensor {
    return aten.sigmoid(this);
  }

  clamp(min: Scalar | null, max: Scalar | null = null): Tensor {
    return aten.clamp(this, min, max);
  }

  matmul(other: Tensor): Tensor {
    return aten.matmul(this, other);
  }

  softmax(dim: number): Tensor {
    return aten.softmax.int(this, dim);
  }

  logSoftmax(dim: number): Tensor {
    return aten.log_softmax.int(this, dim);
  }

  sum(dims?: readonly number[], keepdim = false): Tensor {
    return dims ? aten.sum.dim_IntList(this, dims, keepdim) : aten.sum(this);
  }

  mean(dims?: readonly number[], keepdim = false): Tensor {
    return dims ? aten.mean.dim(this, dims, keepdim) : aten.mean(this);
  }

  max(): Tensor {
    return aten.max(this);
  }

  min(): Tensor {
    return aten.min(this);
  }

  argmax(dim: number, keepdim = false): Tensor {
    return aten.argmax(this, dim, keepdim);
  }

  reshape(...shape: number[]): Tensor {
    return aten.reshape(this, shape);
  }

  permute(...dims: number[]): Tensor {
    return aten.permute(this, dims);
  }

  transpose(dim0: number, dim1: number): Tensor {
    return aten.transpose.int(this, dim0, dim1);
  }

  unsqueeze(dim: number): Tensor {
    return aten.unsqueeze(this, dim);
  }

  squeeze(dim: number): Tensor {
    return aten.squeeze.dim(this, dim);
  }

  /** Element `index` of dimension `dim`, a view. */
  select(dim: number, index: number): Tensor {
    return aten.select.int(this, dim, index);
  }

  /** `length` elements of dimension `dim` from `start`, a view. */
  narrow(dim: number, start: number, length: number): Tensor {
    return aten.narrow(this, dim, start, length);
  }

  contiguous(memoryFormat: MemoryFormat = 'contiguous_format'): Tensor {
    return aten.contiguous(this, { memory_format: memoryFormat });
  }

  clone(): Tensor {
    return aten.clone(this);
  }

  /** The same memory outside the autograd graph. */
  detach(): Tensor {
    return aten.detach(this);
  }

  override toString(): string {
    return this.disposed ? 'Tensor (disposed)' : `Tensor ${this.dtype}[${this.shape.join(', ')}] on ${this.device}`;
  }

  /** For JSON and console: the description, never the data. */
  toJSON(): string {
    return this.toString();
  }
}

native.setTensorClass(Tensor);
