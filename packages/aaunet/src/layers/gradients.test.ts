import {
  cat,
  gradCheck,
  manualSeed,
  memoryStats,
  noGrad,
  numThreads,
  randn,
  setNumThreads,
  tidy,
  type Tensor,
} from '@aaunet/torch';
import type { Module } from '@aaunet/torch/nn';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { ChannelAttention } from './channel-attention.js';
import { ConvNormReLU, groupNorm } from './conv-norm-relu.js';
import { SpaceAttention } from './space-attention.js';
import { SplitAttention } from './split-attention.js';

const TOLERANCE = 1e-6;

const random = (...shape: number[]): Tensor => randn(shape, { dtype: 'float64' });

/** The worst ratio over the inputs and the named parameters, which are put into the layer before each call. */
function check<M extends Module>(
  layer: M,
  forward: (layer: M, ...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  names: readonly string[],
): number {
  layer.to({ dtype: 'float64' });
  // Away from their initial zeros and ones, at which a forgotten term would not show.
  for (const parameter of layer.parameters()) noGrad(() => parameter.add_(random(...parameter.shape).mul(0.2)));
  const values = names.map((name) => layer.namedParameters().get(name)!.detach());
  return gradCheck(
    (...leaves) => {
      for (const [i, name] of names.entries()) replaceParameter(layer, name, leaves[inputs.length + i]!);
      return forward(layer, ...leaves.slice(0, inputs.length));
    },
    [...inputs, ...values],
  );
}

/** Puts a tensor in the place of a parameter, so that gradients flow to it. */
function replaceParameter(layer: Module, name: string, value: Tensor): void {
  const [, prefix = '', own = name] = /^(?:(.*)\.)?([^.]+)$/.exec(name)!;
  for (const [path, module] of layer.modules()) if (path === prefix) Object.assign(module, { [own]: value });
}

// Thousands of tiny operators: handing them to other threads costs more than it gives.
const threads = numThreads();
beforeAll(() => {
  setNumThreads(1);
});
afterAll(() => {
  setNumThreads(threads);
});
beforeEach(() => {
  manualSeed(7);
});

describe('gradients agree with finite differences in float64', () => {
  it('SplitAttention, with batch statistics', () => {
    tidy(() => {
      const names = ['conv.weight', 'bn0.weight', 'fc1.weight', 'bn1.bias', 'fc2.weight'];
      const layer = new SplitAttention(4, 4);
      expect(check(layer, (l, x) => l.forward(x), [random(4, 4, 3, 3)], names)).toBeLessThan(TOLERANCE);
    });
  });

  it('SpaceAttention, of the skip and of the gate', () => {
    tidy(() => {
      const names = ['skip.0.weight', 'gate.0.weight', 'skip.1.weight', 'psi.0.weight', 'psi.1.weight', 'psi.1.bias'];
      const layer = new SpaceAttention(4, 6);
      const inputs = [random(2, 4, 3, 4), random(2, 6, 3, 4)];
      expect(check(layer, (l, skip, gate) => l.forward(skip, gate), inputs, names)).toBeLessThan(TOLERANCE);
    });
  });

  it('ChannelAttention', () => {
    tidy(() => {
      const names = ['fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias'];
      expect(check(new ChannelAttention(6), (l, x) => l.forward(x), [random(2, 6, 3, 3)], names)).toBeLessThan(
        TOLERANCE,
      );
    });
  });

  it('ConvNormReLU', () => {
    tidy(() => {
      const names = ['0.weight', '1.weight', '1.bias'];
      const layer = new ConvNormReLU(3, 16);
      expect(check(layer, (l, x) => l.forward(x), [random(2, 3, 4, 4)], names)).toBeLessThan(TOLERANCE);
    });
  });
});

describe('what the layers mean', () => {
  it('SpaceAttention scales every channel of a pixel by one number between 0 and 1', () => {
    tidy(() => {
      const skip = random(1, 4, 5, 5);
      const output = new SpaceAttention(4, 6).to({ dtype: 'float64' }).forward(skip, random(1, 6, 5, 5));
      const map = output.div(skip).toArray();
      for (let pixel = 0; pixel < 25; pixel++) {
        expect(map[pixel]).toBeGreaterThan(0);
        expect(map[pixel]).toBeLessThan(1);
        for (let channel = 1; channel < 4; channel++) expect(map[channel * 25 + pixel]).toBeCloseTo(map[pixel]!, 12);
      }
    });
  });

  it('ChannelAttention scales every pixel of a channel by one number between 0 and 1', () => {
    tidy(() => {
      const input = random(1, 3, 4, 4);
      const scale = new ChannelAttention(3).to({ dtype: 'float64' }).forward(input).div(input).toArray();
      for (let channel = 0; channel < 3; channel++) {
        const own = scale.slice(channel * 16, (channel + 1) * 16);
        expect(own[0]).toBeGreaterThan(0);
        expect(own[0]).toBeLessThan(1);
        for (const value of own) expect(value).toBeCloseTo(own[0]!, 12);
      }
    });
  });

  it('SplitAttention of equal splits is their common value: the two weights sum to one', () => {
    tidy(() => {
      const layer = new SplitAttention(4, 4).to({ dtype: 'float64' }).eval();
      const { weight } = layer.conv;
      const half = weight.narrow(0, 0, 4).clone();
      noGrad(() => weight.narrow(0, 4, 4).copy_(half));
      const image = random(1, 2, 5, 5);
      const input = cat([image, image], 1);
      const output = layer.forward(input);
      const split = layer.bn0.forward(layer.conv.forward(input)).relu().narrow(1, 0, 4);
      expect(largestOf(output.sub(split))).toBeLessThan(1e-12);
    });
  });

  it.each([
    [8, 1],
    [16, 4],
    [64, 16],
    [128, 32],
    [512, 32],
  ])('%i channels are normalised in %i groups', (channels, groups) => {
    using norm = groupNorm(channels);
    expect(norm.groups).toBe(groups);
  });

  it('leave nothing behind but their output', () => {
    using layer = new SplitAttention(4, 4);
    using input = randn([2, 4, 8, 8]);
    const { tensors } = memoryStats();
    layer.forward(input).dispose();
    expect(memoryStats().tensors).toBe(tensors);
  });
});

function largestOf(difference: Tensor): number {
  return Number(difference.abs().max().item());
}
