import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { autocast, noGrad } from '../autograd.js';
import { gradCheck } from '../grad-check.js';
import { manualSeed, memoryStats } from '../runtime.js';
import { tidy } from '../scope.js';
import { arange, rand, randn, tensor } from '../create.js';
import type { Tensor } from '../tensor.js';
import {
  AvgPool2d,
  BatchNorm2d,
  Conv2d,
  GlobalAvgPool2d,
  GroupNorm,
  InstanceNorm2d,
  kaimingNormal_,
  Linear,
  MaxPool2d,
  ReLU,
  Sigmoid,
  Softmax,
  Upsample,
  type Layer,
} from './index.js';

let before: ReturnType<typeof memoryStats>;
beforeEach(() => {
  before = memoryStats();
});
afterEach(() => {
  expect(memoryStats()).toEqual(before);
});

/** sin(a i + b) in float64: the values that the figures below were computed from with PyTorch 2.13. */
function wave(shape: number[], a = 0.7, b = 0.3): Tensor {
  const size = shape.reduce((product, length) => product * length, 1);
  return tensor(
    Array.from({ length: size }, (_, i) => Math.sin(a * i + b)),
    { dtype: 'float64' },
  ).reshape(...shape);
}

function near(found: Tensor, expected: readonly number[], digits = 7): void {
  const values = found.toArray().slice(0, expected.length);
  expect(values.length).toBe(expected.length);
  for (const [i, value] of values.entries()) expect(value).toBeCloseTo(expected[i]!, digits);
}

/** A test of one layer in float64, on tensors that end with it. */
function layerTest<L extends Layer>(what: string, make: () => L, body: (layer: L) => void): void {
  it(what, () => {
    using layer = make().to({ dtype: 'float64' });
    tidy(() => {
      body(layer);
    });
  });
}

function fill(target: Tensor, source: Tensor): void {
  noGrad(() => target.copy_(source));
}

describe('figures of PyTorch', () => {
  layerTest(
    'Conv2d with stride, padding and groups',
    () => new Conv2d(4, 6, 3, { stride: 2, padding: 1, groups: 2 }),
    (layer) => {
      fill(layer.weight, wave([6, 2, 3, 3], 1.3));
      fill(layer.bias!, wave([6], 0.5));
      const output = layer.forward(wave([1, 4, 5, 4]));
      expect(output.shape).toEqual([1, 6, 3, 2]);
      near(
        output,
        [-0.53790718, -1.59829766, -2.14960659, -2.127602, -0.5720704, -1.74736149, -2.13389281, 0.60949957],
      );
      near(
        output.reshape(-1).narrow(0, 30, 6),
        [1.4335607, -0.41205589, -0.62604525, -0.60561178, -0.28524287, -0.36402589],
      );
    },
  );

  layerTest(
    'BatchNorm2d in training, its running statistics, and in inference',
    () => new BatchNorm2d(4),
    (layer) => {
      fill(layer.weight, wave([4]).mul(0.1).add(1));
      fill(layer.bias, wave([4], 1.1).mul(0.1));
      const input = wave([2, 4, 2, 3]);
      near(layer.forward(input), [0.19038687, 0.99394738, 1.21501095, 0.74960792, -0.18337538, -1.14514233]);
      near(layer.running_mean, [0.01862467, -0.01898478, -9.68e-6, 0.01899427]);
      near(layer.running_var, [0.95337601, 0.95355157, 0.94887944, 0.95355625]);
      expect(layer.num_batches_tracked.item()).toBe(1);
      near(layer.eval().forward(input), [0.3215164, 0.89717818, 1.05554566, 0.72213612, 0.0537573, -0.63524182]);
      expect(layer.num_batches_tracked.item()).toBe(1);
    },
  );

  for (const [name, make, expected] of [
    [
      'GroupNorm',
      () => new GroupNorm(2, 4),
      [0.20034106, 1.00189436, 1.22240574, 0.75816524, -0.17248757, -1.13185215, -1.68978756],
    ],
    [
      'InstanceNorm2d',
      () => new InstanceNorm2d(4),
      [-0.11561121, 0.91649317, 1.20043032, 0.60266015, -0.59567668, -1.83098364, -1.23652182],
    ],
  ] as const)
    layerTest(name, make, (layer) => {
      fill(layer.weight, wave([4]).mul(0.1).add(1));
      fill(layer.bias, wave([4], 1.1).mul(0.1));
      const output = layer.forward(wave([2, 4, 2, 3]));
      near(output, expected);
      expect(output.mul(output).sum().item()).toBeCloseTo(name === 'GroupNorm' ? 54.1864001 : 55.19013485, 6);
    });

  layerTest(
    'Linear',
    () => new Linear(3, 2),
    (layer) => {
      fill(layer.weight, wave([2, 3]));
      fill(layer.bias!, wave([2], 2));
      near(layer.forward(wave([2, 3], 0.9)), [2.0231506, 0.45591157, -1.22937263, 1.42193999]);
    },
  );

  for (const [what, make, shape, expected] of [
    [
      'AvgPool2d counts the padding',
      () => new AvgPool2d(2, { padding: 1 }),
      [5, 5],
      [0.07388005, 0.45828395, 0.17926096, 0.05964468, -0.05216432, -0.16565763, 0.00145893, -0.14385761, -0.10888386],
    ],
    [
      'AvgPool2d leaves the padding out',
      () => new AvgPool2d(3, { stride: 2, padding: 1, ceilMode: true, countIncludePad: false }),
      [5, 5],
      [-0.1130992, 0.04562292, 0.16367714, -0.26766359, -0.16266284, 0.08733429, -0.05483215, -0.14767711, -0.10888386],
    ],
    [
      'MaxPool2d',
      () => new MaxPool2d(3, { stride: 2, padding: 1 }),
      [5, 5],
      [0.84147098, 0.99166481, 0.67546318, 0.98935825, 0.98935825, 0.85916181, 0.98677196, 0.65028784, 0.85916181],
    ],
    [
      'MaxPool2d with a last window that hangs over',
      () => new MaxPool2d(2, { ceilMode: true }),
      [5, 5],
      [0.84147098, 0.99166481, 0.31154136, 0.98935825, 0.66296923, 0.85916181, 0.98677196, 0.00796318, -0.98406501],
    ],
    [
      'Upsample, bilinear',
      () => new Upsample({ scaleFactor: 2 }),
      [3, 4],
      [0.29552021, 0.4320079, 0.70498329, 0.87901944, 0.95411635, 0.9126144, 0.75451359, 0.67546318, 0.23203532],
    ],
    [
      'Upsample, bilinear with aligned corners',
      () => new Upsample({ scaleFactor: 2, mode: 'aligned' }),
      [3, 4],
      [0.29552021, 0.52949911, 0.76347802, 0.88438351, 0.94875229, 0.94649315, 0.81097816, 0.67546318, 0.19394439],
    ],
  ] as const)
    layerTest(what, make, (layer: Layer) => {
      near(layer.forward(wave([1, 1, ...shape])), expected);
    });
});

it('small layers are their formulas', () => {
  tidy(() => {
    const image = arange(4, { dtype: 'float32' }).reshape(1, 1, 2, 2);
    near(new Upsample({ scaleFactor: 2, mode: 'nearest' }).forward(image), [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3]);
    const mean = new GlobalAvgPool2d().forward(image);
    expect([mean.shape, mean.item()]).toEqual([[1, 1, 1, 1], 1.5]);
    near(new ReLU().forward(tensor([-1, 2])), [0, 2]);
    near(new Sigmoid().forward(tensor([0])), [0.5]);
    near(new Softmax(0).forward(tensor([0, Math.log(3)])), [0.25, 0.75], 6);
  });
});

describe('gradients', () => {
  const layers: [string, () => Layer, number[]][] = [
    ['Conv2d', () => new Conv2d(4, 4, 3, { padding: 2, dilation: 2, groups: 2 }), [2, 4, 4, 3]],
    ['BatchNorm2d', () => new BatchNorm2d(4), [2, 4, 2, 3]],
    ['GroupNorm', () => new GroupNorm(2, 4), [2, 4, 2, 3]],
    ['InstanceNorm2d', () => new InstanceNorm2d(4), [2, 4, 2, 3]],
    ['Linear', () => new Linear(3, 2), [2, 3]],
    ['AvgPool2d', () => new AvgPool2d(2, { padding: 1 }), [1, 2, 4, 4]],
    ['MaxPool2d', () => new MaxPool2d(2), [1, 2, 4, 4]],
    ['Upsample', () => new Upsample({ scaleFactor: 2 }), [1, 2, 3, 3]],
    ['GlobalAvgPool2d', () => new GlobalAvgPool2d(), [2, 2, 3, 3]],
    ['Sigmoid', () => new Sigmoid(), [3]],
    ['Softmax', () => new Softmax(1), [2, 3]],
  ];
  for (const [name, make, shape] of layers)
    layerTest(`${name} passes the gradient check, and gradients reach its parameters`, make, (layer) => {
      manualSeed(3);
      expect(gradCheck((input) => layer.forward(input), [randn(shape, { dtype: 'float64' })])).toBeLessThan(1e-6);
      const input = rand(shape, { dtype: 'float64' });
      input.requiresGrad = true;
      const output = layer.forward(input);
      output.mul(wave(output.shape)).sum().backward();
      for (const [, parameter] of layer.namedParameters())
        expect(parameter.grad!.abs().sum().item()).toBeGreaterThan(0);
      layer.zeroGrad();
    });
});

describe('Conv2d', () => {
  it('refuses groups that do not divide the channels, and inputs of other channels', () => {
    expect(() => new Conv2d(3, 4, 1, { groups: 2 })).toThrow('2 groups must divide 3 input');
    using layer = new Conv2d(3, 4, 1);
    tidy(() => {
      expect(() => layer.forward(rand([1, 2, 3, 3]))).toThrow(/aten::conv2d.*channels/s);
    });
  });

  it('computes the 1x1 convolution that corrupts the heap in bfloat16 in float32, forward and backward', () => {
    using layer = new Conv2d(2049, 15, 1);
    tidy(() => {
      const input = rand([1, 2049, 8, 8]);
      input.requiresGrad = true;
      const expected = layer.forward(input);
      const output = autocast({}, () => layer.forward(input));
      expect(output.dtype).toBe('float32');
      expect(output.toArray()).toEqual(expected.toArray());
      output.sum().backward();
      expect([input.grad!.dtype, layer.weight.grad!.dtype]).toEqual(['float32', 'float32']);
      const half = autocast({}, () => layer.forward(input.to('bfloat16')));
      expect(half.sub(expected).abs().max().item()).toBeLessThan(0.05);
      layer.zeroGrad();
    });
  });

  it('leaves every other convolution to autocast', () => {
    using small = new Conv2d(64, 8, 1);
    tidy(() => {
      expect(autocast({}, () => small.forward(rand([1, 64, 2, 2]))).dtype).toBe('bfloat16');
    });
  });
});

describe('initialisation, as PyTorch’s', () => {
  it('is uniform with bound 1/sqrt(fan in) for convolutions and linear layers', () => {
    manualSeed(0);
    for (const [layer, fanIn] of [
      [new Conv2d(16, 64, 3), 144],
      [new Conv2d(16, 64, 3, { groups: 4 }), 36],
      [new Linear(100, 200), 100],
    ] as const) {
      const bound = 1 / Math.sqrt(fanIn);
      for (const tensorOf of [layer.weight, layer.bias!]) {
        const values = tensorOf.toArray();
        const deviation = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
        expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(bound);
        expect(deviation / (bound / Math.sqrt(3))).toBeGreaterThan(0.8);
        expect(deviation / (bound / Math.sqrt(3))).toBeLessThan(1.2);
      }
      layer[Symbol.dispose]();
    }
  });

  it('kaimingNormal_ has variance 2 / fan', () => {
    using layer = new Conv2d(16, 64, 3);
    for (const [mode, fan] of [
      ['fanOut', 576],
      ['fanIn', 144],
    ] as const) {
      kaimingNormal_(layer.weight, mode);
      const values = layer.weight.toArray();
      const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
      expect(variance / (2 / fan)).toBeGreaterThan(0.9);
      expect(variance / (2 / fan)).toBeLessThan(1.1);
    }
    expect(layer.weight.requiresGrad).toBe(true);
  });
});
