import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';

import { memoryStats } from './runtime.js';
import { keep, tidy } from './scope.js';
import { ones, zeros } from './create.js';
import type { Tensor } from './tensor.js';

describe('tidy', () => {
  it('disposes what its body made and returns what it returned', () => {
    const before = memoryStats();
    const inside: Tensor[] = [];
    const result = tidy(() => {
      const a = ones([2]);
      inside.push(a);
      return a.add(1);
    });
    expect(inside[0]!.disposed).toBe(true);
    expect(result.toArray()).toEqual([2, 2]);
    result.dispose();
    expect(memoryStats()).toEqual(before);
  });

  it('lets tensors escape in arrays and plain objects, to the scope around', () => {
    const before = memoryStats();
    let escaped: { list: Tensor[]; deep: { one: Tensor } } | undefined;
    tidy(() => {
      escaped = tidy(() => ({ list: [ones([1])], deep: { one: ones([1]) }, text: 'x', none: null }));
      expect(escaped.list[0]!.disposed || escaped.deep.one.disposed).toBe(false);
    });
    expect(escaped!.list[0]!.disposed && escaped!.deep.one.disposed).toBe(true);
    expect(memoryStats()).toEqual(before);
  });

  it('leaves tensors of outer scopes alone, returned or not', () => {
    tidy(() => {
      const outer = ones([1]);
      tidy(() => {
        outer.add(1);
      });
      tidy(() => outer);
      expect(outer.disposed).toBe(false);
    });
  });

  it('disposes everything when the body throws, however deep', () => {
    const before = memoryStats();
    expect(() => {
      tidy(() => {
        ones([1]);
        tidy(() => {
          ones([2]);
          throw new Error('inner');
        });
      });
    }).toThrow('inner');
    expect(memoryStats()).toEqual(before);
    // The scopes are closed: a tensor made now belongs to none.
    const free = ones([1]);
    tidy(() => undefined);
    expect(free.disposed).toBe(false);
    free.dispose();
  });

  it('refuses asynchronous bodies and disposes what they made so far', () => {
    const before = memoryStats();
    expect(() =>
      tidy(() => {
        ones([1]);
        return Promise.resolve();
      }),
    ).toThrow('synchronous');
    expect(memoryStats()).toEqual(before);
  });

  it('survives tensors that were disposed by hand or return twice', () => {
    const before = memoryStats();
    const [a, b] = tidy(() => {
      ones([1]).dispose();
      const twice = ones([1]);
      return [twice, twice] as const;
    });
    expect(a).toBe(b);
    a.dispose();
    expect(memoryStats()).toEqual(before);
  });
});

it('keep takes a tensor out of every scope', () => {
  const before = memoryStats();
  const deep: Tensor[] = [];
  tidy(() => {
    tidy(() => {
      deep.push(keep(zeros([1])));
    });
  });
  expect(deep[0]!.disposed).toBe(false);
  deep[0]!.dispose();
  expect(memoryStats()).toEqual(before);
});

it('`using` disposes at the end of the block', () => {
  const before = memoryStats();
  {
    using a = ones([4]);
    expect(memoryStats()).toEqual({ tensors: before.tensors + 1, bytes: before.bytes + a.byteLength });
  }
  expect(memoryStats()).toEqual(before);
});

it('a training step leaves no tensor behind: values, gradients and graph', () => {
  const weight = keep(ones([8, 8]));
  weight.requiresGrad = true;
  const step = (): void => {
    tidy(() => {
      weight.matmul(weight).relu().sum().backward();
      weight.grad!.toArray();
      weight.grad = null;
    });
  };
  step();
  const before = memoryStats();
  for (let i = 0; i < 5; i++) step();
  expect(memoryStats()).toEqual(before);
  weight.dispose();
});

it('forgotten tensors are freed by the garbage collector', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const before = memoryStats();
  (() => {
    for (let i = 0; i < 50; i++) zeros([1000]).data('float32');
  })();
  expect(memoryStats().tensors).toBeGreaterThan(before.tensors);
  for (let i = 0; i < 20 && memoryStats().tensors > before.tensors; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(memoryStats()).toEqual(before);
});

it('20,000 operator calls keep memory flat', () => {
  const a = ones([64, 64]);
  const some = (count: number): void => {
    for (let i = 0; i < count; i++)
      tidy(() => {
        a.add(1).relu();
        expect(() => a.matmul(ones([3]))).toThrow();
      });
  };
  some(500);
  const before = memoryStats();
  const resident = process.memoryUsage.rss();
  some(5000);
  expect(memoryStats()).toEqual(before);
  // 20,000 tensors of 16 KiB are 320 MB.
  expect(process.memoryUsage.rss() - resident).toBeLessThan(80e6);
  a.dispose();
});
