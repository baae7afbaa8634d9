import { describe, expect, it } from 'vitest';

import { grad, noGrad } from './autograd.js';
import { Graphed, peakMemory, synchronize } from './cuda.js';
import {
  BatchNorm2d,
  concatenateResized,
  Conv2d,
  GroupNorm,
  imageMean,
  Sequential,
  weighPixels,
  weighSplits,
} from './nn/index.js';
import { aten, operator } from './operators.js';
import { cudaAvailable, libtorchInfo, manualSeed, memoryStats } from './runtime.js';
import { keep, tidy } from './scope.js';
import { empty, full, ones, rand, randn } from './create.js';
import type { Dtype, Tensor } from './tensor.js';
import { difference } from './testing/difference.js';

/** Few channels, some that fill no vector, odd sizes, and many rows. */
const SHAPES = [
  [2, 16, 5, 7],
  [1, 1, 4, 4],
  [2, 8, 16, 16],
  [3, 36, 3, 5],
  [2, 130, 9, 4],
  [2, 512, 8, 8],
  [2, 16, 192, 192],
] as const;
const TOLERANCE: Readonly<Record<string, number>> = { float64: 1e-11, float32: 1e-4, bfloat16: 3e-2 };
const DTYPES = ['float64', 'float32', 'bfloat16'] as const;

describe('without CUDA', () => {
  it.skipIf(libtorchInfo().cudaBuild)('says what is missing', () => {
    expect(() => {
      synchronize();
    }).toThrow(/needs a LibTorch with CUDA/);
  });

  it('a graphed function is called as it is on the CPU', () => {
    using graphed = new Graphed('cpu', (x) => x.add(1));
    tidy(() => {
      for (const value of [1, 2, 3, 4]) expect(graphed.run(ones([1]).mul(value)).item()).toBe(value + 1);
    });
  });
});

describe.skipIf(!cudaAvailable())('on a CUDA device', () => {
  /** Outputs and gradients on the device beside those on the CPU, whose kernels norm.test.ts and weigh.test.ts check. */
  function compare(dtype: Dtype, inputs: readonly Tensor[], compute: (...inputs: Tensor[]) => Tensor): number {
    const onDevice = inputs.map((input) => input.to({ device: 'cuda' }).detach());
    const leaves = [inputs, onDevice].map((all) =>
      all.map((tensor) => {
        const leaf = tensor.detach();
        leaf.requiresGrad = true;
        return leaf;
      }),
    );
    const outputs = leaves.map((all) => compute(...all));
    manualSeed(9);
    const upstream = randn(outputs[0]!.shape).to(dtype).contiguous('channels_last');
    const gradients = outputs.map((output, i) =>
      grad([output], leaves[i]!, { gradients: [i === 0 ? upstream : upstream.to({ device: 'cuda' })] }),
    );
    const worst = gradients[0]!.map((expected, i) => difference(gradients[1]![i]!, expected!));
    return Math.max(difference(outputs[1]!, outputs[0]!), ...worst);
  }

  const make = (shape: readonly number[], dtype: Dtype): Tensor =>
    randn(shape).mul(2).add(3).to(dtype).contiguous('channels_last').detach();
  const parametersOf = (channels: number, dtype: Dtype): Tensor[] =>
    [randn([channels]), randn([channels])].map((values) => values.to(dtype === 'float64' ? 'float64' : 'float32'));

  it.each(DTYPES)('batch and group norm are those of the CPU, forward and backward: %s', (dtype) => {
    for (const shape of SHAPES)
      for (const training of [true, false])
        tidy(() => {
          manualSeed(1);
          const [weight, bias] = parametersOf(shape[1], dtype) as [Tensor, Tensor];
          const x = make(shape, dtype);
          const residual = make(shape, dtype).sub(3).detach();
          const running: Tensor[][] = [];
          const batchNorm = (...[a, w, b, r]: Tensor[]): Tensor => {
            const { device, dtype: type } = w!;
            const own = [
              aten.zeros([shape[1]], { device, dtype: type }),
              aten.ones([shape[1]], { device, dtype: type }),
            ];
            running.push(own);
            return operator('aaunet::batch_norm')(a, w, b, ...own, r, training, 0.1, 1e-5, false) as Tensor;
          };
          if (shape[1] > 1) {
            expect(compare(dtype, [x, weight, bias, residual], batchNorm)).toBeLessThan(TOLERANCE[dtype]!);
            for (const i of [0, 1]) expect(difference(running[1]![i]!, running[0]![i]!)).toBeLessThan(1e-4);
          }
          const groups = shape[1] % 4 === 0 ? shape[1] / 4 : 1;
          const groupNorm = (...[a, w, b]: Tensor[]): Tensor =>
            operator('aaunet::group_norm')(a, groups, w, b, null, 1e-5, false) as Tensor;
          expect(compare(dtype, [x, weight, bias], groupNorm)).toBeLessThan(TOLERANCE[dtype]!);
        });
  });

  it('ReLU cuts off after normalising, and its gradient is none where it did', () => {
    tidy(() => {
      manualSeed(2);
      const x = make([2, 16, 32, 32], 'float64');
      const [weight, bias] = parametersOf(16, 'float64') as [Tensor, Tensor];
      const groupNorm = (...[a, w, b, r]: Tensor[]): Tensor =>
        operator('aaunet::group_norm')(a, 4, w, b, r, 1e-5, true) as Tensor;
      expect(compare('float64', [x, weight, bias, make([2, 16, 32, 32], 'float64')], groupNorm)).toBeLessThan(1e-11);
    });
  });

  it.each(DTYPES)('attention to whole images is that of the CPU: %s', (dtype) => {
    for (const radix of [1, 2, 4])
      for (const [images, channels, rows, columns] of SHAPES)
        tidy(() => {
          manualSeed(3);
          const x = make([images, radix * channels, rows, columns], dtype);
          const weights = rand([images, radix * channels]).to(dtype);
          expect(compare(dtype, [x, weights], (a, w) => weighSplits(a, w, radix))).toBeLessThan(TOLERANCE[dtype]!);
          const pixels = rand([images, 1, rows, columns]).to(dtype);
          expect(compare(dtype, [x, pixels], (a, w) => weighPixels(a, w))).toBeLessThan(TOLERANCE[dtype]!);
          expect(difference(imageMean(x.to({ device: 'cuda' })), imageMean(x))).toBeLessThan(TOLERANCE[dtype]!);
        });
  });

  it.each(['nearest', 'bilinear', 'aligned'] as const)('resizes and joins images as the CPU does: %s', (mode) => {
    tidy(() => {
      manualSeed(5);
      const images = [make([2, 16, 5, 7], 'float32'), make([2, 8, 10, 14], 'float32')];
      const resize = (...all: Tensor[]): Tensor => concatenateResized(all, { size: [10, 14], mode });
      expect(compare('float32', images, resize)).toBeLessThan(1e-5);
    });
  });

  it('reads tensors that begin anywhere in memory', () => {
    tidy(() => {
      const values = randn([2 * 8 * 4 * 4 + 1]);
      const view = (all: Tensor): Tensor => aten.as_strided(all, [2, 8, 4, 4], [128, 1, 32, 8], 1);
      expect(difference(imageMean(view(values.to({ device: 'cuda' }))), imageMean(view(values)))).toBeLessThan(1e-5);
    });
  });

  it('keeps what each recorded shape leaves beside its result apart', () => {
    tidy(() => {
      const weight = keep(ones([2], { device: 'cuda' }));
      weight.requiresGrad = true;
      using graphed = new Graphed(
        'cuda',
        (x) => {
          const loss = x.mul(weight).sum();
          loss.backward();
          return loss;
        },
        {
          beforeRecording: () => {
            weight.grad = null;
          },
          afterRecording: () => {
            const own = keep(weight.grad!);
            return {
              restore: () => {
                weight.grad = own;
              },
              [Symbol.dispose]: () => {
                own.dispose();
              },
            };
          },
        },
      );
      for (let step = 0; step < 10; step++) {
        weight.grad = null;
        const rows = 1 + (step % 2);
        graphed.run(full([rows, 2], step, { device: 'cuda' }));
        expect(weight.grad!.toArray()).toEqual([rows * step, rows * step]);
      }
      weight.grad = null;
      weight.dispose();
    });
  });

  it('replays what it recorded with new inputs, parameters changed in place and batch statistics', () => {
    const { tensors } = memoryStats();
    tidy(() => {
      manualSeed(4);
      using net = new Sequential(new Conv2d(3, 16, 3, { padding: 1 }), new BatchNorm2d(16), new GroupNorm(4, 16));
      using twin = new Sequential(new Conv2d(3, 16, 3, { padding: 1 }), new BatchNorm2d(16), new GroupNorm(4, 16));
      for (const one of [net, twin]) one.to({ device: 'cuda', memoryFormat: 'channels_last' });
      twin.loadStateDict(net.stateDict());
      using graphed = new Graphed('cuda', (x) => noGrad(() => net.forward(x)));
      for (let step = 0; step < 6; step++)
        tidy(() => {
          const x = randn([2, 3, 16, 16], { device: 'cuda' }).contiguous('channels_last');
          const found = graphed.run(x);
          const expected = noGrad(() => twin.forward(x));
          expect(difference(found, expected)).toBeLessThan(1e-5);
          for (const parameter of [...net.parameters(), ...twin.parameters()]) noGrad(() => parameter.mul_(1.1));
        });
      const mean = (one: typeof net): Tensor => one.stateDict().get('1.running_mean')!;
      expect(difference(mean(net), mean(twin))).toBeLessThan(1e-5);
    });
    expect(memoryStats().tensors).toBe(tensors);
    expect(peakMemory()).toBeGreaterThan(0);
  });

  it('copies from pinned memory, and in full precision', () => {
    tidy(() => {
      const pinned = empty([1000], { dtype: 'int16', pinned: true });
      pinned.data('int16').set(Int16Array.from({ length: 1000 }, (_, i) => i - 500));
      expect(pinned.to({ device: 'cuda' }).toArray()).toEqual(pinned.toArray());
    });
  });
});
