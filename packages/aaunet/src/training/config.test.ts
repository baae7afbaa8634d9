import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readTrainConfig, resolveTrainConfig } from './config.js';

const configs = fileURLToPath(new URL('../../../../configs/', import.meta.url));

describe('resolveTrainConfig', () => {
  it('completes a configuration with the defaults', () => {
    const config = resolveTrainConfig({ data: 'd' });
    expect(config).toMatchObject({
      model: 'rsu-sc',
      size: 512,
      loss: { focalGamma: 2 },
      window: { center: 50, width: 200 },
    });
    expect(resolveTrainConfig(config)).toEqual(config);
  });

  it('puts flags over the file, key by key, and ignores flags that were not given', () => {
    const file = { data: 'd', batch: 4, learningRate: { max: 2e-3 } };
    const config = resolveTrainConfig(file, { batch: 2, size: undefined, learningRate: { base: 1e-6 } });
    expect(config).toMatchObject({ batch: 2, size: 512, learningRate: { base: 1e-6, max: 2e-3 } });
  });

  it('fails on unknown keys at any depth, naming key and place', () => {
    expect(() => resolveTrainConfig({ data: 'd', lerningRate: {} }, {}, 'x.json')).toThrow(
      'x.json is not valid: unknown key "lerningRate" at the top level.',
    );
    expect(() => resolveTrainConfig({ data: 'd', augmentation: { rotate: 3 } })).toThrow('"rotate" at "augmentation"');
  });

  it('fails on values out of range', () => {
    expect(() => resolveTrainConfig({ data: 'd', size: 500 })).toThrow('"size"');
    expect(() => resolveTrainConfig({ data: 'd', device: 'tpu' })).toThrow('"cpu", "cuda"');
    expect(() => resolveTrainConfig({ data: 'd', learningRate: { base: 1, max: 0.1 } })).toThrow('learningRate.base');
    expect(() => resolveTrainConfig({})).toThrow('"data"');
    for (const content of [[], null, 7, 'phantoms'])
      expect(() => resolveTrainConfig(content, { data: 'd' }, 'c.json')).toThrow('c.json is not valid');
  });

  it('cannot be tricked into changing object prototypes', () => {
    const hostile: unknown = JSON.parse('{"data":"d","__proto__":{"polluted":1}}');
    expect(() => resolveTrainConfig(hostile)).toThrow('__proto__');
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('configs/', () => {
  it('holds valid files only', async () => {
    const names = (await readdir(configs)).filter((name) => name.endsWith('.json'));
    expect(names).toContain('paper.json');
    expect(names).toContain('demo.json');
    for (const name of names) expect((await readTrainConfig(configs + name, { data: 'd' })).model).toBeTruthy();
  });
});
