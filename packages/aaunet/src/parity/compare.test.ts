import { existsSync, readdirSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { memoryStats } from '@aaunet/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { buildModel, MODEL_NAMES } from '../models/registry.js';
import { checkState, compareWithFixture } from './compare.js';
import { readFixture, type Fixture } from './fixture.js';

const folder = process.env['AAUNET_PARITY'] ?? fileURLToPath(new URL('../../../../../shared/parity', import.meta.url));
const fixtures = existsSync(folder)
  ? readdirSync(folder).filter((name) => MODEL_NAMES.some((model) => name === `${model}.json`))
  : [];
if (fixtures.length === 0) console.warn(`No parity fixtures in ${folder}: set AAUNET_PARITY to compare with PyTorch.`);

// Each says: our network and an independent PyTorch implementation compute the same outputs, loss and gradients.
describe.skipIf(fixtures.length === 0)('compareWithFixture', () => {
  it.each(fixtures)('%s is inside every tolerance', (name) => {
    const path = join(folder, name);
    const { tensors } = memoryStats();
    const { worst, where } = compareWithFixture(readFixture(path), path);
    expect(worst, where).toBeLessThanOrEqual(1);
    expect(memoryStats().tensors).toBe(tensors);
  });

  it('sees a figure that is off by a thousandth', () => {
    const path = join(folder, fixtures[0]!);
    const fixture = readFixture(path);
    const eval64 = { ...fixture.eval64, value: fixture.eval64.value.map((value) => value * 1.001) };
    const { worst, where } = compareWithFixture({ ...fixture, eval64 }, path);
    expect(worst).toBeGreaterThan(1);
    expect(where).toBe('eval64');
  });
});

describe('checkState', () => {
  const network = buildModel('rsu');
  const state = [...network.stateDict()].map(([name, { shape }]): [string, number[]] => [name, shape]);
  const check = (entries: Fixture['state']): void => {
    checkState(network, { model: 'rsu', state: entries });
  };
  afterAll(() => {
    network[Symbol.dispose]();
  });

  it("takes the network's own state", () => {
    expect(() => {
      check(state);
    }).not.toThrow();
  });

  it('refuses a missing, a further, a renamed and a reshaped entry', () => {
    expect(() => {
      check(state.slice(1));
    }).toThrow(`has ${state.length} entries, the fixture ${state.length - 1}.`);
    expect(() => {
      check([...state, ['x', [1]]]);
    }).toThrow('x [1] is missing or has another shape');
    expect(() => {
      check([['encoder.conv1.0.bias', state[0]![1]], ...state.slice(1)]);
    }).toThrow('encoder.conv1.0.bias');
    expect(() => {
      check([[state[0]![0], [1, 2, 3, 3]], ...state.slice(1)]);
    }).toThrow('[1, 2, 3, 3] is missing');
  });

  it('refuses another order', () => {
    const [first, second, ...rest] = state;
    expect(() => {
      check([second!, first!, ...rest]);
    }).toThrow(`expected ${second![0]}`);
  });
});

describe('readFixture', () => {
  let scratch: string;
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'aaunet-parity-'));
  });
  afterAll(() => {
    rmSync(scratch, { recursive: true, force: true });
  });

  it('refuses what is no fixture, naming the file and the key', () => {
    const path = join(scratch, 'x.json');
    writeFileSync(path, '{"model": "rsu"}');
    expect(() => readFixture(path)).toThrow(/x\.json is not a parity fixture: .*seed/);
  });
});
