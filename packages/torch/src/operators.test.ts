import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { ATEN_VERSION } from './aten.gen.js';
import { generateAtenTypes } from './codegen/generate.js';
import { aten, observe, operator, schemas } from './operators.js';
import { libtorchInfo, memoryStats } from './runtime.js';
import { tidy } from './scope.js';
import { fromTypedArray, full, ones, tensor, zeros } from './create.js';
import { Tensor } from './tensor.js';

let before: ReturnType<typeof memoryStats>;
beforeEach(() => {
  before = memoryStats();
});
afterEach(() => {
  // An operator, refused or not, leaves nothing behind.
  expect(memoryStats()).toEqual(before);
});

/** A test whose tensors end with it. */
function test(what: string, body: () => void): void {
  it(what, () => {
    tidy(body);
  });
}

/** The error that `action` throws, with its code. */
function refusal(action: () => unknown): Error & { code?: string } {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return error as Error & { code?: string };
  }
  throw new Error('nothing was refused');
}

describe('calling operators by name', () => {
  test('finds the default overload as the function and the others as its properties', () => {
    const a = tensor([1, -2]);
    expect(aten.relu(a).toArray()).toEqual([1, 0]);
    expect(aten.add.Tensor(a, a).toArray()).toEqual([2, -4]);
    expect((operator('aten::add', 'Tensor')(a, a) as Tensor).toArray()).toEqual([2, -4]);
  });

  test('names the operator and the remedy when there is none', () => {
    expect(() => operator('aten::no_such_operator')).toThrow(/has no operator aten::no_such_operator; see schemas\(\)/);
    expect(() => operator('aten::add', 'Nothing')).toThrow('aten::add.Nothing');
  });

  test('takes keyword arguments, and defaults where an argument is left out', () => {
    const a = tensor([1, 2]);
    expect(aten.add.Tensor(a, a, { alpha: 10 }).toArray()).toEqual([11, 22]);
    expect(aten.zeros([2], { dtype: 'int32' }).dtype).toBe('int32');
    expect(aten.sum(a, { dtype: 'float64' }).dtype).toBe('float64');
    expect(aten.clamp(a, null, 1.5).toArray()).toEqual([1, 1.5]);
    expect(aten.clamp(a, undefined, 1.5).toArray()).toEqual([1, 1.5]);
    expect(aten.clamp(a, 1.5).toArray()).toEqual([1.5, 2]);
  });

  test('takes one number for an int[2]', () => {
    const image = ones([1, 1, 4, 4]);
    expect(aten.avg_pool2d(image, 2).shape).toEqual([1, 1, 2, 2]);
    expect(aten.avg_pool2d(image, [1, 2]).shape).toEqual([1, 1, 4, 2]);
  });

  test('returns several results as an array, nulls for absent ones', () => {
    const a = tensor([[1, 5, 3]]);
    const [values, indices] = aten.max.dim(a, 1);
    expect([values.toArray(), indices.toArray()]).toEqual([[5], [1]]);
    const parts = aten.split.Tensor(a, 2, 1);
    expect(parts.map((part) => part.shape)).toEqual([
      [1, 2],
      [1, 1],
    ]);
  });

  test('keeps integer dtypes with integer scalars and promotes with fractions', () => {
    const a = fromTypedArray(Int32Array.of(1, 2), [2]);
    expect(a.add(1).dtype).toBe('int32');
    expect(a.mul(2n).dtype).toBe('int32');
    expect(a.add(1.5).dtype).toBe('float32');
    expect(a.mul(true).dtype).toBe('int32');
    expect(Object.is(full([], -0).item(), -0)).toBe(true);
  });

  test('passes 64-bit integers whole', () => {
    const big = aten.full([1], 2n ** 62n + 1n, { dtype: 'int64' });
    expect(big.data('int64')[0]).toBe(2n ** 62n + 1n);
  });

  test('lets an observer see every call and only inside its body', () => {
    const seen: string[] = [];
    const a = tensor([1]);
    const result = observe(
      (name, args, run) => {
        seen.push(`${name}/${args.length}`);
        return run();
      },
      () => a.add(a),
    );
    a.add(a);
    expect(seen).toEqual(['aten::add.Tensor/2']);
    expect(result.toArray()).toEqual([2]);
  });
});

describe('refusing arguments', () => {
  test('names operator, arguments, shapes and a code when LibTorch refuses', () => {
    const error = refusal(() => aten.matmul(zeros([2, 3]), zeros([4, 5])));
    expect(error.message).toMatch(/^aten::matmul\(self float32\[2, 3\], other float32\[4, 5\]\): mat1 and mat2/);
    expect(error.message).not.toContain('frame #');
    expect(error.code).toBe('ERR_TORCH_OPERATOR');
  });

  test('refuses what is no tensor, saying what it is instead', () => {
    const disposed = zeros([1]);
    disposed.dispose();
    const cyclic: unknown[] = [];
    cyclic.push(cyclic);
    const cases: [unknown, string][] = [
      [undefined, 'missing'],
      [null, 'null'],
      [{}, 'an object'],
      [() => 1, 'a function'],
      [Symbol('s'), 'a symbol'],
      ['text', '"text"'],
      [3, 'got 3'],
      [new Date(0), 'an object'],
      [disposed, 'a disposed Tensor; keep() it'],
      [Object.create(Tensor.prototype), 'an object'],
      [Object.create(zeros([1])), 'an object'],
      [new Proxy({}, {}), 'an object'],
      [cyclic, '[[[[…]]]]'],
    ];
    const relu = operator('aten::relu');
    for (const [value, found] of cases) {
      const error = refusal(() => relu(value));
      expect(error.message).toContain('self');
      expect(error.message).toContain(found);
      expect(error.code).toBe('ERR_TORCH_ARGUMENT');
    }
  });

  test('refuses wrong kinds of number, text and list', () => {
    const a = zeros([2, 2]);
    const image = zeros([1, 1, 4, 4]);
    const wrong: (() => unknown)[] = [
      () => aten.unsqueeze(a, NaN),
      () => aten.unsqueeze(a, 0.5),
      () => aten.unsqueeze(a, Infinity),
      () => aten.unsqueeze(a, 2 ** 60),
      () => operator('aten::unsqueeze')(a, 2n ** 70n),
      () => operator('aten::unsqueeze')(a, '0'),
      () => operator('aten::unsqueeze')(a, true),
      () => operator('aten::sum')(a, { dtype: 'float31' }),
      () => operator('aten::sum')(a, { dtype: 6 }),
      () => operator('aten::zeros')(4),
      () => operator('aten::zeros')([2, 'a']),
      () => operator('aten::zeros')(new Array(2 ** 32 - 1)),
      () => operator('aten::zeros')([1], { layout: 'sparse' }),
      () => operator('aten::zeros')([1], { device: 3 }),
      () => operator('aten::contiguous')(a, { memory_format: 'nhwc' }),
      () => operator('aten::avg_pool2d')(image, 2, 1, 0, 1),
      () => operator('aten::cat')(a),
      () => operator('aten::cat')([a, null]),
      () => operator('aten::add', 'Scalar')(a, '1'),
      () => operator('aten::relu')(a, a),
      () => operator('aten::relu')(a, {}, 1),
      () => operator('aten::conv2d')(image, image, null, 1, 0, 1, 1, 5),
    ];
    for (const action of wrong) {
      const error = refusal(action);
      expect(error.code).toBe('ERR_TORCH_ARGUMENT');
      expect(error.message).toMatch(/^aten::\w+/);
    }
  });

  test('refuses options that the operator does not have', () => {
    const a = zeros([2]);
    expect(refusal(() => operator('aten::add', 'Tensor')(a, a, { alhpa: 2 })).message).toMatch(/alhpa/);
  });

  test('survives arguments that run code: getters that throw or dispose', () => {
    const a = zeros([2]);
    const options = {
      get alpha() {
        a.dispose();
        return 1;
      },
    };
    expect(aten.add.Tensor(a, a, options).toArray()).toEqual([0, 0]);
    expect(a.disposed).toBe(true);
    const bomb = {
      get alpha(): number {
        throw new Error('boom');
      },
    };
    expect(() => aten.add.Tensor(zeros([1]), zeros([1]), bomb)).toThrow('boom');
  });

  test('refuses sizes that no memory holds', () => {
    expect(refusal(() => zeros([2 ** 50])).code).toMatch(/ERR_TORCH_(OPERATOR|OUT_OF_MEMORY)/);
    expect(refusal(() => zeros([2 ** 40, 2 ** 40])).code).toBe('ERR_TORCH_OPERATOR');
    expect(refusal(() => zeros([-1])).code).toBe('ERR_TORCH_OPERATOR');
  });
});

describe('tensors that are no arrays of memory', () => {
  test('describes sparse and opaque tensors and refuses to share their memory', () => {
    const dense = tensor([[0, 2]]);
    for (const special of [aten.to_sparse(dense), aten.to_mkldnn(dense)]) {
      expect(special.shape).toEqual([1, 2]);
      expect(special.byteLength).toBe(0);
      expect(() => special.data('float32')).toThrow();
    }
  });

  test('refuses to describe a nested tensor, which has no shape', () => {
    const nest = operator('aten::_nested_tensor_from_tensor_list');
    const nested = nest([zeros([2]), zeros([3])]) as Tensor;
    for (const action of [() => nested.shape, () => nested.data('float32')])
      expect(refusal(action).code).toBe('ERR_TORCH_OPERATOR');
  });

  test('keeps the shapes of meta tensors, which have no elements', () => {
    const meta = zeros([2, 3], { device: 'meta' });
    expect(meta.add(1).shape).toEqual([2, 3]);
    expect(() => meta.data('float32')).toThrow('cpu()');
    expect(() => meta.toArray()).toThrow(/no data/);
  });
});

describe('generated types', () => {
  it.skipIf(libtorchInfo().libtorch !== ATEN_VERSION)('are those of the running LibTorch', () => {
    const file = readFileSync(new URL('./aten.gen.ts', import.meta.url), 'utf8');
    expect(generateAtenTypes(schemas(), libtorchInfo().libtorch)).toBe(file);
  });

  test('mark optional arguments, lists and reserved words as TypeScript wants them', () => {
    const argument = { name: 'self', type: 'Tensor', keyword: false, optional: false };
    const text = generateAtenTypes(
      [
        {
          name: 'aten::crop',
          overload: 'default',
          arguments: [
            argument,
            { name: 'in', type: 'int[]', keyword: false, optional: true, length: 2 },
            { name: 'from', type: 'float?', keyword: false, optional: false },
            { name: 'out', type: 'Tensor', keyword: true, optional: false },
          ],
          returns: ['Tensor', 'Tensor[]'],
        },
        { name: 'aten::future', overload: '', arguments: [{ ...argument, type: 'Future(t)' }], returns: [] },
        { name: 'prim::other', overload: '', arguments: [argument], returns: [] },
      ],
      '9.9',
    );
    expect(text).toContain(
      'crop: { default(self: Tensor, in_: number | readonly number[] | undefined, from_: number | null | undefined, ' +
        'options: { out: Tensor }): [Tensor, Tensor[]] };',
    );
    expect(text).not.toMatch(/future|other/);
  });
});

describe('operators that trust their arguments', () => {
  test('are refused by aten, with the way round, and reachable by name', () => {
    const untyped = aten as unknown as Record<string, () => unknown>;
    for (const name of ['native_batch_norm', 'threshold_backward', 'native_group_norm', 'fbgemm_linear_fp16_weight'])
      expect(() => untyped[name]!()).toThrow(`or operator('aten::${name}')`);
    expect(() => (aten.lstm as unknown as { data: unknown }).data).toThrow("or operator('aten::lstm', 'data')");
    const backward = operator('aten::threshold_backward');
    expect((backward(tensor([3, 3]), tensor([-1, 1]), 0) as Tensor).toArray()).toEqual([0, 3]);
  });
});
