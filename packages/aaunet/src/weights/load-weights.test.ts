import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { aten, manualSeed, memoryStats, saveTensors, tidy, zeros, type Tensor } from '@aaunet/torch';
import type { Layer } from '@aaunet/torch/nn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { buildModel, type ModelName } from '../models/registry.js';
import { describeWeights, loadWeights } from './load-weights.js';

let folder: string;
let path: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'aaunet-weights-'));
  path = join(folder, 'weights.safetensors');
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const seeded = (name: ModelName, seed: number, inChannels = 3, classes = 8): Layer => {
  manualSeed(seed);
  return buildModel(name, { inChannels, classes });
};

/** Saves a network's weights under other names; those renamed to null are left out. */
const save = (network: Layer, rename: (name: string) => string | null, extra: Record<string, Tensor> = {}): void => {
  const renamed = [...network.stateDict()].flatMap(([name, tensor]): [string, Tensor][] => {
    const other = rename(name);
    return other === null ? [] : [[other, tensor]];
  });
  saveTensors(path, new Map([...renamed, ...Object.entries(extra)]));
};

const encoderOf = (name: string): string | null => (name.startsWith('encoder.') ? name.slice(8) : null);

const valuesOf = (network: Layer, name: string): number[] => network.stateDict().get(name)!.toArray();

describe('loadWeights', () => {
  it('loads a whole network and leaves no tensor behind', () => {
    using source = seeded('resnet18-unet', 1);
    using network = seeded('resnet18-unet', 2);
    save(source, (name) => name);
    const before = memoryStats();
    const report = loadWeights(network, path);
    expect(memoryStats()).toEqual(before);
    expect(report).toEqual({
      loaded: source.stateDict().size,
      total: source.stateDict().size,
      encoderOnly: false,
      adapted: [],
      missing: [],
      unexpected: [],
      mismatched: [],
    });
    const own = network.stateDict();
    for (const [name, tensor] of source.stateDict()) expect(aten.equal(own.get(name)!, tensor), name).toBe(true);
  });

  it.each(['module.', 'model.', 'module.model.'])('sees through names that begin with %s', (prefix) => {
    using source = seeded('resnet18-unet', 1);
    using network = seeded('resnet18-unet', 2);
    save(source, (name) => prefix + name);
    expect(loadWeights(network, path)).toMatchObject({ loaded: source.stateDict().size, encoderOnly: false });
  });

  it.each<[ModelName, string]>([
    ['resnet18-unet', 'fc'],
    ['densenet121-unet', 'classifier'],
    ['resnest14-all-attention', 'fc'],
  ])('loads an ImageNet classifier into the encoder of %s and passes over its last layer', (name, classifier) => {
    using source = seeded(name, 1);
    using network = seeded(name, 2);
    tidy(() => {
      save(source, encoderOf, { [`${classifier}.weight`]: zeros([10, 4]), [`${classifier}.bias`]: zeros([10]) });
    });
    const head = [...network.stateDict().keys()].at(-1)!;
    const before = valuesOf(network, head);
    const report = loadWeights(network, path);
    expect(report).toMatchObject({ encoderOnly: true, missing: [], unexpected: [], mismatched: [] });
    expect(report.loaded).toBe(report.total);
    expect(valuesOf(network, head)).toEqual(before);
    const first = [...network.stateDict().keys()][0]!;
    expect(valuesOf(network, first)).toEqual(valuesOf(source, first));
  });

  it("loads a classifier's HRNet beside the head", () => {
    using source = seeded('hrnet-w18', 1);
    using network = seeded('hrnet-w18', 2);
    save(source, (name) => (name.startsWith('last_layer.') ? null : name));
    const report = loadWeights(network, path);
    expect(report.missing.every((name) => name.startsWith('last_layer.'))).toBe(true);
    expect(report.unexpected).toEqual([]);
  });

  it("reads the names of torchvision's first DenseNets", () => {
    using source = seeded('densenet121-unet', 1);
    using network = seeded('densenet121-unet', 2);
    save(source, (name) => encoderOf(name)?.replace(/(denselayer\d+\.(norm|conv))([12])/, '$1.$3') ?? null);
    expect(loadWeights(network, path)).toMatchObject({ missing: [], unexpected: [] });
  });

  it('fits the first convolution to one channel and to five, as timm does', () => {
    using source = seeded('resnet18-unet', 1);
    save(source, encoderOf);
    const key = 'encoder.conv1.weight';
    const weight = source.stateDict().get(key)!;
    const planes = tidy(() => [0, 1, 2].map((channel) => weight.detach().select(1, channel).toArray()));
    const at = (plane: number, i: number): number => planes[plane]![i]!;
    using grey = seeded('resnet18-unet', 2, 1);
    expect(loadWeights(grey, path).adapted).toEqual([`${key}: 3 to 1 channels`]);
    for (const [i, value] of valuesOf(grey, key).entries())
      expect(value).toBeCloseTo(at(0, i) + at(1, i) + at(2, i), 6);
    using five = seeded('resnet18-unet', 2, 5);
    loadWeights(five, path);
    const found = tidy(() => [0, 1, 2, 3, 4].map((c) => five.stateDict().get(key)!.detach().select(1, c).toArray()));
    for (const [channel, plane] of found.entries())
      for (const [i, value] of plane.entries()) expect(value).toBeCloseTo((at(channel % 3, i) * 3) / 5, 6);
  });

  it('reports what does not fit as a short table, and loads the rest', () => {
    using source = seeded('resnet18-unet', 1, 3, 2);
    using network = seeded('resnet18-unet', 2);
    tidy(() => {
      save(source, (name) => (name.startsWith('decoder.blocks.0') ? null : name), { strange: zeros([1]) });
    });
    const report = loadWeights(network, path);
    expect(describeWeights('weights.pth', report).split('\n')).toEqual([
      `Loaded ${report.loaded} of ${report.total} tensors from weights.pth.`,
      expect.stringMatching(/^ {2}missing {6}10 {2}decoder\.blocks\.0\.conv1\.0\.weight; .*; …$/),
      '  unexpected    1  strange',
      '  shape         2  segmentation_head.0.weight: expected [8, 16, 3, 3], found [2, 16, 3, 3]; segmentation_head.0.bias: expected [8], found [2]',
    ]);
    expect(valuesOf(network, 'encoder.bn1.weight')).toEqual(valuesOf(source, 'encoder.bn1.weight'));
  });

  it('does without counts of batches', () => {
    using source = seeded('resnet18-unet', 1);
    using network = seeded('resnet18-unet', 2);
    save(source, (name) => (name.endsWith('num_batches_tracked') ? null : name));
    expect(loadWeights(network, path).missing).toEqual([]);
  });

  it('refuses a file of another network in one sentence', () => {
    using network = seeded('resnet18-unet', 2);
    tidy(() => {
      saveTensors(path, new Map([['blocks.0.attn.qkv.weight', zeros([2, 2])]]));
    });
    expect(() => loadWeights(network, path)).toThrow(
      `${path} has no weight that fits this network: expected names such as encoder.conv1.weight, found blocks.0.attn.qkv.weight.`,
    );
  });
});
