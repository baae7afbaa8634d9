import { describe, expect, it } from 'vitest';

import { autocast, enableGrad, grad, noGrad } from './autograd.js';
import { gradCheck } from './grad-check.js';
import { aten } from './operators.js';
import { memoryStats } from './runtime.js';
import { tidy } from './scope.js';
import { ones, rand, tensor, zeros } from './create.js';
import type { Dtype, Tensor } from './tensor.js';

function test(what: string, body: () => void): void {
  it(what, () => {
    const before = memoryStats();
    tidy(body);
    expect(memoryStats()).toEqual(before);
  });
}

function leaf(values: number[], dtype: Dtype = 'float64'): Tensor {
  const made = tensor(values, { dtype });
  made.requiresGrad = true;
  return made;
}

describe('backward', () => {
  test('adds the gradients of leaves', () => {
    const x = leaf([1, 2]);
    expect(x.grad).toBeNull();
    x.mul(x).sum().backward();
    expect(x.grad!.toArray()).toEqual([2, 4]);
    x.mul(3).sum().backward();
    expect(x.grad!.toArray()).toEqual([5, 7]);
    x.grad = null;
    expect(x.grad).toBeNull();
  });

  test('needs a gradient for what is no scalar, of its shape', () => {
    const x = leaf([1, 2]);
    expect(() => {
      x.mul(2).backward();
    }).toThrow(/backward from \[float64\[2\]\].*scalar/s);
    x.mul(2).backward({ gradient: tensor([1, 10], { dtype: 'float64' }) });
    expect(x.grad!.toArray()).toEqual([2, 20]);
    expect(() => {
      x.mul(2).backward({ gradient: zeros([3], { dtype: 'float64' }) });
    }).toThrow(/shape/);
  });

  test('frees the graph unless it is retained', () => {
    const x = leaf([3]);
    const y = x.mul(x).sum();
    y.backward({ retainGraph: true });
    y.backward();
    expect(x.grad!.toArray()).toEqual([12]);
    expect(() => {
      y.backward();
    }).toThrow(/second time/);
  });

  test('refuses what has no graph, and values changed since', () => {
    expect(() => {
      zeros([]).backward();
    }).toThrow(/does not require grad/);
    const x = leaf([1, 2]);
    const y = x.exp();
    noGrad(() => y.mul_(2));
    expect(() => {
      y.sum().backward();
    }).toThrow(/modified by an inplace operation/);
  });
});

describe('properties of leaves', () => {
  test('requiresGrad, isLeaf, detach', () => {
    const x = leaf([1]);
    const y = x.mul(2);
    expect([x.isLeaf, x.requiresGrad, y.isLeaf, y.requiresGrad, y.detach().requiresGrad]).toEqual([
      true,
      true,
      false,
      true,
      false,
    ]);
    expect(() => {
      y.requiresGrad = false;
    }).toThrow('use detach()');
    expect(() => {
      zeros([1], { dtype: 'int64' }).requiresGrad = true;
    }).toThrow(/floating point/);
    expect(() => x.add_(1)).toThrow(/in-place/);
  });

  test('a gradient has its tensor’s shape and type', () => {
    const x = leaf([1, 2]);
    x.grad = ones([2], { dtype: 'float64' });
    expect(x.grad.toArray()).toEqual([1, 1]);
    for (const wrong of [ones([3], { dtype: 'float64' }), ones([2]), 3 as unknown as Tensor])
      expect(() => {
        x.grad = wrong;
      }).toThrow(/grad/);
  });
});

describe('grad', () => {
  test('returns gradients without touching any', () => {
    const x = leaf([1, 2]);
    const unused = leaf([1]);
    const [dx, none] = grad([x.mul(x).sum()], [x, unused], { allowUnused: true });
    expect([dx!.toArray(), none, x.grad]).toEqual([[2, 4], null, null]);
    expect(() => grad([x.sum()], [unused])).toThrow(/grad of .*allow_unused|not have been used/s);
  });

  test('gives second derivatives with createGraph', () => {
    const x = leaf([2, -1]);
    const [first] = grad([x.pow(3).sum()], [x], { createGraph: true });
    expect(first!.toArray()).toEqual([12, 3]);
    const [second] = grad([first!.sum()], [x]);
    expect(second!.toArray()).toEqual([12, -6]);
  });

  test('refuses what is no list of tensors', () => {
    const x = leaf([1]);
    const untyped = grad as (...args: unknown[]) => unknown;
    for (const args of [
      [[x], [3]],
      [[{}], [x]],
      [[x.sum()], [x], { gradients: 'no' }],
      [[x.sum()], [x], { gradients: [x, x] }],
      [[], [x]],
      [[x.sum()], []],
    ])
      expect(() => untyped(...args)).toThrow();
  });
});

describe('modes', () => {
  test('noGrad and enableGrad nest and end with their call, also when it throws', () => {
    const x = leaf([1]);
    const records = (): boolean => x.mul(2).requiresGrad;
    expect(noGrad(records)).toBe(false);
    expect(noGrad(() => [enableGrad(records), records()])).toEqual([true, false]);
    expect(() =>
      noGrad(() => {
        throw new Error('inside');
      }),
    ).toThrow('inside');
    expect(records()).toBe(true);
    expect(() => noGrad(() => Promise.resolve())).toThrow('synchronous');
    expect(records()).toBe(true);
  });

  test('autocast computes convolutions in its dtype, inside, nested and suspended', () => {
    const image = rand([1, 3, 4, 4]);
    const weight = rand([2, 3, 1, 1]);
    const dtype = (): string => aten.conv2d(image, weight).dtype;
    expect(dtype()).toBe('float32');
    expect(autocast({}, dtype)).toBe('bfloat16');
    expect(autocast({ dtype: 'float16' }, dtype)).toBe('float16');
    expect(autocast({}, () => [autocast({ enabled: false }, dtype), dtype()])).toEqual(['float32', 'bfloat16']);
    expect(autocast({ dtype: 'float16' }, () => [autocast({}, dtype), dtype()])).toEqual(['bfloat16', 'float16']);
    expect(() =>
      autocast({}, () => {
        throw new Error('inside');
      }),
    ).toThrow('inside');
    expect(dtype()).toBe('float32');
    expect(() => autocast({}, () => Promise.resolve())).toThrow('synchronous');
    expect(dtype()).toBe('float32');
  });

  test('autocast knows two devices and refuses others', () => {
    expect(() => autocast({ device: 'meta' as 'cpu' }, () => 0)).toThrow("knows 'cpu' and 'cuda'");
    expect(() => autocast({ dtype: 'nothing' as Dtype }, () => 0)).toThrow('dtype');
    expect(aten.conv2d(rand([1, 1, 2, 2]), rand([1, 1, 1, 1])).dtype).toBe('float32');
  });

  test('autocast gives float32 gradients to float32 weights', () => {
    const weight = rand([2, 3, 3, 3]);
    weight.requiresGrad = true;
    autocast({}, () => aten.conv2d(rand([1, 3, 5, 5]), weight))
      .sum()
      .backward();
    expect(weight.grad!.dtype).toBe('float32');
  });
});

describe('gradCheck', () => {
  test('accepts right gradients', () => {
    const x = rand([2, 3], { dtype: 'float64' });
    const y = rand([3, 2], { dtype: 'float64' });
    expect(gradCheck((a, b) => a.matmul(b).sigmoid(), [x, y])).toBeLessThan(1e-7);
  });

  test('finds a part of the graph cut off, an unused input that matters, and a wrong factor', () => {
    const x = rand([4], { dtype: 'float64' }).add(0.5);
    expect(gradCheck((a) => a.mul(a.detach()), [x])).toBeGreaterThan(0.1);
    expect(gradCheck((a, b) => a.add(b.detach()), [x, x])).toBeGreaterThan(0.1);
    const twice = (a: Tensor): Tensor => a.mul(2).sub(a.detach());
    expect(gradCheck(twice, [x])).toBeGreaterThan(0.1);
  });

  test('takes float64 alone', () => {
    expect(() => gradCheck((a) => a, [rand([1])])).toThrow('expected float64');
  });
});
