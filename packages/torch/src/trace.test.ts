import { describe, expect, it } from 'vitest';

import { memoryStats } from './runtime.js';
import { aten } from './operators.js';
import { tidy } from './scope.js';
import { ones, randn } from './create.js';
import type { Tensor } from './tensor.js';
import { tensorsOf, trace } from './trace.js';

describe('trace', () => {
  it('records the calls that depend on the input, with weights and what is computed from them alone as constants', () => {
    tidy(() => {
      const weight = ones([3]);
      using traced = trace((x) => tidy(() => x.mul(weight.add(1)).sum()), [randn([2, 3])]);
      expect(traced.calls.map(({ operator }) => operator)).toEqual(['aten::mul.Tensor', 'aten::sum']);
      const [, doubled] = [...tensorsOf(traced.calls[0]!)];
      expect(doubled!.constant!.toArray()).toEqual([2, 2, 2]);
      expect(traced.calls[0]!.arguments[0]).toBe(traced.inputs[0]);
      expect(traced.calls[1]!.arguments[0]).toBe(traced.calls[0]!.results[0]);
      expect(traced.outputs).toEqual([traced.calls[1]!.results[0]]);
    });
  });

  it('records an in-place operator as one that returns its result, which the tensor then stands for', () => {
    tidy(() => {
      using traced = trace(
        (x) =>
          tidy(() => {
            const y = x.mul(2);
            aten.relu_(y);
            return y.add(1);
          }),
        [randn([4])],
      );
      expect(traced.calls.map(({ operator }) => operator)).toEqual([
        'aten::mul.Scalar',
        'aten::relu',
        'aten::add.Scalar',
      ]);
      expect(traced.calls[2]!.arguments[0]).toBe(traced.calls[1]!.results[0]);
    });
  });

  it('sees tensors in lists and in keywords, and every result of an operator that has several', () => {
    tidy(() => {
      using traced = trace(
        (x) =>
          tidy(() => {
            const [left, right] = aten.split.Tensor(x, 2, 1) as [Tensor, Tensor];
            return aten.cat([right, left], 1);
          }),
        [randn([1, 4])],
      );
      const [split, cat] = traced.calls;
      expect(split!.results.map(({ shape }) => shape)).toEqual([
        [1, 2],
        [1, 2],
      ]);
      expect(cat!.arguments[0]).toEqual([split!.results[1], split!.results[0]]);
    });
  });

  it('refuses to lose a change that goes through shared memory', () => {
    tidy(() => {
      const x = randn([4]);
      expect(() => trace((input) => input.reshape(2, 2).add_(1), [x])).toThrow(
        /aten::add_.Scalar changes a tensor whose memory/,
      );
      expect(() => trace((input) => input.add_(1), [x])).toThrow(/share/);
    });
  });

  it('sees by the memory itself what shares it: an operator may return what it was given', () => {
    tidy(() => {
      const x = randn([4]);
      const bodies: ((made: Tensor) => Tensor)[] = [
        (made) => aten.dropout(made, 0.5, false),
        (made) => aten.unbind.int(made.reshape(2, 2))[0]!,
        (made) => aten.view_as(made, ones([2, 2])),
      ];
      for (const body of bodies)
        expect(() => trace((input) => body(input.mul(2)).add_(1), [x])).toThrow(/memory others share/);
      expect(() => {
        trace((input) => input.mul(2).add_(1), [x])[Symbol.dispose]();
      }).not.toThrow();
    });
  });

  it('keeps the constants of a trace alive until it is disposed, and nothing else', () => {
    const before = memoryStats();
    {
      using x = randn([3]);
      using traced = trace((input) => tidy(() => input.mul(ones([3])).add(1)), [x]);
      expect([...tensorsOf(traced.calls[0]!)][1]!.constant!.toArray()).toEqual([1, 1, 1]);
    }
    expect(memoryStats()).toEqual(before);
  });
});
