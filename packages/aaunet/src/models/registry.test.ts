import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  aten,
  autocast,
  fromTypedArray,
  loadTensors,
  manualSeed,
  memoryStats,
  noGrad,
  randn,
  saveTensors,
  tidy,
} from '@aaunet/torch';
import { compile } from '@aaunet/torch/compile';
import type { Layer } from '@aaunet/torch/nn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { focalLoss } from '../losses/focal.js';
import { buildModel, isModelName, listModels, MODEL_NAMES, TABLE_I, type ModelName } from './registry.js';

const CLASSES = 8;

/** Table I's networks and one of each further family: the other rows differ from these in numbers alone. */
const TESTED: readonly ModelName[] = [
  ...TABLE_I,
  'hrnet-w18',
  'resnet18-unet',
  'resnet50-unetplusplus',
  'resnest14-all-attention',
];

/** What every network must do; a new entry of the registry inherits all of it. */
describe.each(TESTED)('%s', (name) => {
  let network: Layer;
  let folder: string;
  beforeAll(() => {
    manualSeed(1);
    network = buildModel(name);
    folder = mkdtempSync(join(tmpdir(), 'aaunet-registry-'));
  });
  afterAll(() => {
    network[Symbol.dispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const outputOf = (shape: readonly number[], seed = 2): number[] => {
    manualSeed(seed);
    return tidy(() => noGrad(() => network.forward(randn(shape)).toArray()));
  };

  it.each([
    [1, 32, 32],
    [3, 32, 32],
    [1, 64, 32],
    [3, 32, 96],
    [1, 96, 64],
  ])('gives logits of every class at the size of its input: %i x 3 x %i x %i', (batch, rows, columns) => {
    network.eval();
    tidy(() => {
      noGrad(() => {
        const logits = network.forward(randn([batch, 3, rows, columns]));
        expect(logits.shape).toEqual([batch, CLASSES, rows, columns]);
        expect(logits.dtype).toBe('float32');
        expect(logits.toArray().every(Number.isFinite)).toBe(true);
      });
    });
  });

  it('gives every parameter a finite gradient, moves running statistics, and leaves no tensor behind', () => {
    network.train();
    network.zeroGrad();
    const { tensors } = memoryStats();
    const statistics = [...network.namedBuffers()].find(([key]) => key.endsWith('running_mean'))?.[1];
    const before = statistics?.toArray();
    manualSeed(3);
    tidy(() => {
      const target = fromTypedArray(
        BigInt64Array.from({ length: 2 * 64 * 64 }, (_, i) => BigInt(i % CLASSES)),
        [2, 64, 64],
      );
      const weights = fromTypedArray(new Float32Array(CLASSES).fill(1), [CLASSES]);
      focalLoss(network.forward(randn([2, 3, 64, 64])), target, weights).backward();
      for (const [key, parameter] of network.namedParameters()) {
        const { grad } = parameter;
        expect(grad, `gradient of ${key}`).not.toBeNull();
        expect(aten.all(aten.isfinite(grad!)).item(), `gradient of ${key}`).toBe(true);
      }
    });
    network.zeroGrad();
    if (before) expect(statistics?.toArray()).not.toEqual(before);
    expect(memoryStats().tensors).toBe(tensors);
  });

  it('trains on a single small image or refuses to, but keeps its running statistics numbers', () => {
    network.train();
    let refusal = '';
    try {
      tidy(() => void network.forward(randn([1, 3, 32, 32])));
    } catch (error) {
      refusal = (error as Error).message;
    }
    if (refusal) expect(refusal).toMatch(/training needs more than one value a channel.*use a batch of at least 2/);
    for (const [key, buffer] of network.namedBuffers())
      expect(
        tidy(() => buffer.toArray().every(Number.isFinite)),
        key,
      ).toBe(true);
  });

  it('compiled for inference gives what the network gives, for any number of images, and leaves no tensor behind', () => {
    network.eval();
    const { tensors } = memoryStats();
    {
      using compiled = compile(network, [3, 64, 32], { precision: 'float32' });
      using halved = compile(network, [3, 64, 32], { precision: 'bfloat16' });
      for (const batch of [1, 3])
        tidy(() => {
          const image = randn([batch, 3, 64, 32]);
          const expected = noGrad(() => network.forward(image)).toArray();
          expect(largestDifference(compiled.forward(image).toArray(), expected)).toBeLessThan(3e-5 * largest(expected));
          expect(largestDifference(halved.forward(image).toArray(), expected)).toBeLessThan(0.2 * largest(expected));
        });
    }
    expect(memoryStats().tensors).toBe(tensors);
  });

  it('answers the same in inference mode however often it is asked, and whatever else is in the batch', () => {
    network.eval();
    const first = outputOf([2, 3, 32, 32]);
    expect(outputOf([2, 3, 32, 32])).toEqual(first);
    manualSeed(2);
    const alone = tidy(() => noGrad(() => network.forward(randn([2, 3, 32, 32]).narrow(0, 1, 1)).toArray()));
    const half = first.slice(first.length / 2);
    expect(largestDifference(alone, half)).toBeLessThan(1e-4 * largest(half));
  });

  it('is the same network after a round trip through a safetensors file', () => {
    network.eval();
    const path = join(folder, 'weights.safetensors');
    saveTensors(path, network.stateDict());
    manualSeed(99);
    using other = buildModel(name).eval();
    const { tensors } = loadTensors(path);
    other.loadStateDict(tensors);
    for (const tensor of tensors.values()) tensor.dispose();
    manualSeed(2);
    const restored = tidy(() => noGrad(() => other.forward(randn([1, 3, 64, 64])).toArray()));
    expect(restored).toEqual(outputOf([1, 3, 64, 64]));
  });

  it('names every parameter and buffer once, and each is a tensor of its own', () => {
    const state = network.stateDict();
    expect(state.size).toBe(network.namedParameters().size + network.namedBuffers().size);
    expect(new Set(state.values()).size).toBe(state.size);
  });

  it('computes nearly the same in bfloat16', () => {
    network.eval();
    const exact = outputOf([1, 3, 64, 64]);
    const rounded = autocast({ dtype: 'bfloat16' }, () => outputOf([1, 3, 64, 64]));
    expect(rounded).not.toEqual(exact);
    // Rounding to 8 bits in some hundred layers.
    expect(largestDifference(rounded, exact)).toBeLessThan(0.1 * largest(exact));
  });
});

describe('listModels', () => {
  it('gives the size and cost of the paper network as the design does', () => {
    const paper = listModels().find(({ name }) => name === 'rsu-sc')!;
    expect(paper.parameters / 1e6).toBeCloseTo(29.69, 2);
    expect(Math.round(paper.gflop)).toBe(92);
  });

  it('leaves no tensor behind', () => {
    const { tensors } = memoryStats();
    listModels();
    expect(memoryStats().tensors).toBe(tensors);
  });
});

describe('buildModel', () => {
  it('refuses a name that is not in the registry, object properties included, and lists those that are', () => {
    expect(() => buildModel('vgg')).toThrow(`There is no network 'vgg'; choose one of ${MODEL_NAMES.join(', ')}.`);
    for (const name of ['constructor', 'toString', '__proto__']) expect(isModelName(name)).toBe(false);
  });

  it('makes the same weights from the same seed and others from another', () => {
    const weights = (seed: number): number[] => {
      manualSeed(seed);
      using network = buildModel('rsu');
      return network.namedParameters().get('head.weight')!.toArray();
    };
    expect(weights(5)).toEqual(weights(5));
    expect(weights(6)).not.toEqual(weights(5));
  });
});

function largest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

function largestDifference(a: readonly number[], b: readonly number[]): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}
