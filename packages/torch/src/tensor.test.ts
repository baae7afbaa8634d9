import { describe, expect, it } from 'vitest';

import { aten } from './operators.js';
import { memoryStats } from './runtime.js';
import { tidy } from './scope.js';
import {
  arange,
  cat,
  empty,
  fromBytes,
  fromTypedArray,
  full,
  ones,
  rand,
  randn,
  stack,
  tensor,
  zeros,
  type NestedNumbers,
} from './create.js';
import { Tensor, type Dtype, type TypedArray } from './tensor.js';

/** A test whose tensors end with it, and which leaves none behind. */
function test(what: string, body: () => void): void {
  it(what, () => {
    const before = memoryStats();
    tidy(body);
    expect(memoryStats()).toEqual(before);
  });
}

describe('data: the elements without a copy', () => {
  test('is the memory itself, both ways', () => {
    const a = zeros([2, 2]);
    const view = a.data('float32');
    view[3] = 7;
    expect(a.toArray()).toEqual([0, 0, 0, 7]);
    a.add_(1);
    expect([...view]).toEqual([1, 1, 1, 8]);
    expect(a.data('float32').byteLength).toBe(16);
  });

  it('outlives the tensor', () => {
    const a = full([1000], 3);
    const view = a.data('float32');
    a.dispose();
    for (let i = 0; i < 20; i++) full([1000], 9).dispose();
    expect(view.every((value) => value === 3)).toBe(true);
  });

  test('pins the memory: it cannot be resized away under the array', () => {
    const a = zeros([4]);
    const view = a.data('float32');
    expect(() => aten.resize_(a, [1 << 20])).toThrow(/not resizable/);
    const b = ones([1 << 12]);
    expect(() => aten.add.out(b, b, { out: a })).toThrow(/not resizable/);
    aten.set_.source_Tensor(a, b);
    view[0] = 5;
    expect(a.size(0)).toBe(1 << 12);
    expect(a.select(0, 0).item()).toBe(1);
  });

  test('of a view begins where the view does', () => {
    const a = arange(6, { dtype: 'float32' }).reshape(2, 3);
    expect([...a.select(0, 1).data('float32')]).toEqual([3, 4, 5]);
    a.select(0, 1).data('float32')[0] = 9;
    expect(a.toArray()).toEqual([0, 1, 2, 9, 4, 5]);
  });

  test('is refused where there is no such memory', () => {
    const a = rand([2, 3]);
    expect(() => a.transpose(0, 1).data('float32')).toThrow('use contiguous() first');
    expect(() => aten.expand(rand([1]), [3]).data('float32')).toThrow('use contiguous() first');
    expect(() => a.data('float64')).toThrow('expected a tensor of float64, got float32');
    expect(() => a.to('complex64').data('complex64')).toThrow('no typed array');
    const gone = zeros([1]);
    gone.dispose();
    expect(() => gone.data('float32')).toThrow('disposed');
    expect(() =>
      a
        .to('complex64')
        .reshape(6)
        .data('complex64' as 'float32'),
    ).toThrow(/no typed array/);
  });

  test('gives half precision as its bits and booleans as bytes', () => {
    expect([...tensor([1, -2, 0.5], { dtype: 'bfloat16' }).data('bfloat16')]).toEqual([0x3f80, 0xc000, 0x3f00]);
    expect([...tensor([1, -2], { dtype: 'float16' }).data('float16')]).toEqual([0x3c00, 0xc000]);
    expect([...tensor([1, 0], { dtype: 'bool' }).data('bool')]).toEqual([1, 0]);
  });

  test('reads elements that share memory, in every dtype', () => {
    for (const dtype of ['float64', 'float32'] as const)
      expect(aten.expand(tensor([1, 2]).to(dtype).unsqueeze(1), [2, 3]).toArray()).toEqual([1, 1, 1, 2, 2, 2]);
  });

  test('of an empty tensor is an empty array', () => {
    expect(zeros([0, 3]).data('float32').length).toBe(0);
    expect(zeros([0, 3]).toArray()).toEqual([]);
  });

  test('of a tensor that requires gradients is readable', () => {
    const a = ones([2]);
    a.requiresGrad = true;
    expect(a.mul(2).toArray()).toEqual([2, 2]);
    expect([...a.data('float32')]).toEqual([1, 1]);
  });
});

describe('bytes of bools', () => {
  test('are 0 or 1, or refused', () => {
    expect(fromBytes(Uint8Array.of(0, 1), [2], 'bool').toArray()).toEqual([0, 1]);
    expect(() => fromBytes(Uint8Array.of(0, 2), [2], 'bool')).toThrow(/a bool is 0 or 1/);
  });
});

describe('from typed arrays', () => {
  const arrays: [TypedArray, Dtype][] = [
    [Float32Array.of(9, 1.5, -2), 'float32'],
    [Float64Array.of(9, 1.5, -2), 'float64'],
    [BigInt64Array.of(9n, 1n, -2n), 'int64'],
    [Int32Array.of(9, 1, -2), 'int32'],
    [Int16Array.of(9, 1, -2), 'int16'],
    [Int8Array.of(9, 1, -2), 'int8'],
    [Uint8Array.of(9, 1, 254), 'uint8'],
    [Uint16Array.of(9, 1, 65534), 'uint16'],
    [Uint32Array.of(9, 1, 4294967294), 'uint32'],
    [BigUint64Array.of(9n, 1n, 2n ** 50n), 'uint64'],
  ];

  for (const [array, dtype] of arrays) {
    test(`copies a ${array.constructor.name}, or the part that a view shows`, () => {
      const whole = fromTypedArray(array, [3]);
      const part = fromTypedArray(array.subarray(1), [2, 1]);
      expect([whole.dtype, part.shape]).toEqual([dtype, [2, 1]]);
      expect(part.toArray()).toEqual([...array.subarray(1)].map(Number));
      expect(part.data(dtype as 'float32')).toEqual(array.subarray(1));
      array[1] = array[0]!;
      expect(part.toArray()).not.toEqual([...array.subarray(1)].map(Number));
    });
  }

  test('takes a Buffer and shared memory for the arrays they are', () => {
    expect(fromTypedArray(Buffer.from([1, 2]), [2]).dtype).toBe('uint8');
    const shared = new Float32Array(new SharedArrayBuffer(8));
    shared.set([3, 4]);
    expect(fromTypedArray(shared, [2]).toArray()).toEqual([3, 4]);
  });

  test('converts', () => {
    const converted = fromTypedArray(Int16Array.of(-1000, 1), [2], { dtype: 'bfloat16' });
    expect([converted.dtype, converted.toArray()]).toEqual(['bfloat16', [-1000, 1]]);
  });

  test('refuses a shape that does not take exactly these elements', () => {
    const data = new Float32Array(6);
    for (const shape of [[5], [2, 4], [], [-2, -3], [2 ** 40, 2 ** 40], [1.5, 4], [NaN]])
      expect(() => fromTypedArray(data, shape)).toThrow();
    expect(() => fromTypedArray(data, [7])).toThrow('this shape takes 28 bytes, the data has 24');
    expect(() => fromTypedArray(data, 6 as unknown as number[])).toThrow('array of integers');
  });

  test('refuses what is no typed array of a dtype', () => {
    for (const data of [[1, 2], 'ab', null, undefined, new DataView(new ArrayBuffer(8)), new Uint8ClampedArray(2), {}])
      expect(() => fromTypedArray(data as TypedArray, [2])).toThrow('expected a typed array');
    const moved = new Float32Array(2);
    structuredClone(moved.buffer, { transfer: [moved.buffer] });
    expect(() => fromTypedArray(moved, [2])).toThrow('detached');
  });

  test('reads bytes as any dtype', () => {
    expect(fromBytes(Uint8Array.of(0x80, 0x3f, 0, 0xc0), [2], 'bfloat16').toArray()).toEqual([1, -2]);
    expect(() => fromBytes([1, 2] as unknown as Uint8Array, [2], 'uint8')).toThrow('expected a Uint8Array');
    expect(() => fromBytes(new Uint8Array(2), [2], 'int4' as Dtype)).toThrow('dtype');
  });
});

describe('from numbers', () => {
  test('nests to the shape of the arrays', () => {
    expect(tensor(3).shape).toEqual([]);
    expect(tensor([]).shape).toEqual([0]);
    const nested = tensor([
      [1, 2],
      [3, 4],
    ]);
    expect([nested.shape, nested.toArray(), nested.dtype]).toEqual([[2, 2], [1, 2, 3, 4], 'float32']);
    expect(tensor([2 ** 53 - 1], { dtype: 'int64' }).data('int64')[0]).toBe(2n ** 53n - 1n);
    expect(tensor([true, false], { dtype: 'bool' }).toArray()).toEqual([1, 0]);
  });

  test('refuses ragged arrays and what is no number', () => {
    for (const values of [
      [[1, 2], [3]],
      [1, [2]],
      [[1], 2],
    ])
      expect(() => tensor(values)).toThrow('equal lengths');
    for (const values of [undefined, null, 'a', ['1'], [null], [{}]])
      expect(() => tensor(values as unknown as NestedNumbers)).toThrow('expected numbers');
  });

  test('factories give what they say', () => {
    expect(zeros([2]).toArray()).toEqual([0, 0]);
    expect(full([2], 1.5).toArray()).toEqual([1.5, 1.5]);
    expect(full([1], 2).dtype).toBe('float32');
    expect(arange(3).toArray()).toEqual([0, 1, 2]);
    expect(empty([1, 2, 3, 3], { memoryFormat: 'channels_last' }).isContiguous('channels_last')).toBe(true);
    const uniform = rand([1000]).toArray();
    expect(uniform.every((value) => value >= 0 && value < 1)).toBe(true);
    expect(Math.abs(randn([4000]).mean().item() as number)).toBeLessThan(0.1);
    expect(cat([zeros([1, 2]), ones([1, 2])]).shape).toEqual([2, 2]);
    expect(stack([zeros([2]), ones([2])], 1).toArray()).toEqual([0, 1, 0, 1]);
  });

  test('are not made with new', () => {
    expect(() => new Tensor()).toThrow('not with new');
    const Handle = Object.getPrototypeOf(Tensor) as new () => unknown;
    expect(() => new Handle()).toThrow('not with new');
    expect(() => (Handle as unknown as () => unknown)()).toThrow();
  });
});

describe('properties and conversions', () => {
  test('describe the tensor', () => {
    const a = zeros([2, 3], { dtype: 'float64' });
    expect([a.shape, a.strides, a.ndim, a.numel, a.byteLength]).toEqual([[2, 3], [3, 1], 2, 6, 48]);
    expect([a.dtype, a.device, String(a), JSON.stringify(a)]).toEqual([
      'float64',
      'cpu',
      'Tensor float64[2, 3] on cpu',
      '"Tensor float64[2, 3] on cpu"',
    ]);
    expect([a.size(0), a.size(-1)]).toEqual([2, 3]);
    for (const dim of [2, -3, NaN, 0.5]) expect(() => a.size(dim)).toThrow('has no dimension');
  });

  test('change dtype, layout and device', () => {
    const a = tensor([[1.7, -1.7]]);
    expect(a.to('int32').toArray()).toEqual([1, -1]);
    expect(a.to({ device: 'meta' }).device).toBe('meta');
    expect(a.cpu().toArray()).toEqual(a.toArray());
    expect(() => a.to({ device: 'nowhere' })).toThrow(/nowhere/);
    expect(() => a.to('float31' as Dtype)).toThrow('dtype');
    const image = arange(8, { dtype: 'float32' }).reshape(1, 2, 2, 2);
    const last = image.to({ memoryFormat: 'channels_last' });
    expect([last.strides, last.isContiguous('channels_last'), last.isContiguous()]).toEqual([
      [8, 1, 4, 2],
      true,
      false,
    ]);
    expect(last.toArray()).toEqual(image.toArray());
    expect(() => last.data('float32')).toThrow('contiguous() first');
    expect([...last.contiguous().data('float32')]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(() => a.to({ memoryFormat: 'channels_last' })).toThrow(/rank 4/);
  });

  test('item reads one element', () => {
    expect(tensor(2.5).item()).toBe(2.5);
    expect(tensor(3).eq(3).item()).toBe(true);
    expect(tensor([7], { dtype: 'int64' }).item()).toBe(7);
    expect(() => zeros([2]).item()).toThrow('item of float32[2]');
    expect(() => zeros([1], { dtype: 'complex64' }).item()).toThrow('view_as_real');
  });

  test('in-place methods return the tensor itself', () => {
    const a = tensor([1, 2]);
    expect(a.add_(1).mul_(2).sub_(a.clone().fill_(1))).toBe(a);
    expect(a.toArray()).toEqual([3, 5]);
    expect(a.copy_(tensor([8])).toArray()).toEqual([8, 8]);
    expect(a.zero_().toArray()).toEqual([0, 0]);
  });

  test('methods are their operators', () => {
    const a = tensor([
      [4, 1],
      [9, 16],
    ]);
    expect(a.sqrt().toArray()).toEqual([2, 1, 3, 4]);
    expect(a.sum([0]).toArray()).toEqual([13, 17]);
    expect(a.mean([1], true).shape).toEqual([2, 1]);
    expect([a.sum().item(), a.mean().item(), a.max().item(), a.min().item()]).toEqual([30, 7.5, 16, 1]);
    expect(a.argmax(1).toArray()).toEqual([0, 1]);
    expect(a.matmul(a).toArray()).toEqual([25, 20, 180, 265]);
    expect(a.transpose(0, 1).toArray()).toEqual(a.permute(1, 0).toArray());
    expect(a.narrow(1, 1, 1).toArray()).toEqual([1, 16]);
    expect(a.unsqueeze(0).squeeze(0).shape).toEqual([2, 2]);
    expect(a.pow(0.5).toArray()).toEqual([2, 1, 3, 4]);
    expect(a.div(2).sub(1).neg().abs().toArray()).toEqual([1, 0.5, 3.5, 7]);
    expect(a.softmax(1).sum([1]).toArray().map(Math.round)).toEqual([1, 1]);
    expect(a.logSoftmax(1).exp().sum().item()).toBeCloseTo(2, 5);
    expect(tensor([0]).sigmoid().exp().log().item()).toBeCloseTo(0.5);
    expect(tensor([-1, 1]).relu().clamp(0.5).toArray()).toEqual([0.5, 1]);
  });
});

it('accessors refuse objects that are no tensors, and disposing twice is nothing', () => {
  const accessor = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Tensor.prototype), 'shape')!;
  for (const receiver of [{}, Object.create(Tensor.prototype) as object, [], () => 0, new Date(0)])
    expect(() => accessor.get!.call(receiver) as unknown).toThrow();
  const a = zeros([1]);
  a.dispose();
  a.dispose();
  expect(a.disposed).toBe(true);
  expect(String(a)).toBe('Tensor (disposed)');
  for (const key of ['shape', 'strides', 'dtype', 'numel', 'byteLength', 'grad', 'isLeaf', 'requiresGrad'] as const)
    expect(() => a[key]).toThrow('disposed');
});

it('reading a tensor leaves no tensor behind', () => {
  using a = tensor([[1, 2]], { dtype: 'float64' });
  const before = memoryStats();
  a.toArray();
  a.data('float64');
  a.size(0);
  a.add_(1).mul_(2).fill_(3).zero_();
  tensor([1, 2]).dispose();
  expect(memoryStats()).toEqual(before);
});
