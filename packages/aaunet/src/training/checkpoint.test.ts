import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { manualSeed, memoryStats, saveTensors } from '@aaunet/torch';
import { Conv2d } from '@aaunet/torch/nn';
import { AdamW } from '@aaunet/torch/optim';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { mountSmallDisk, NO_SMALL_DISK, type SmallDisk } from '../testing/small-disk.js';
import { checkpointPath, hasCheckpoint, loadLast, loadWeights, saveBest, saveLast } from './checkpoint.js';
import { MetricsLog, readMetrics, type Metric } from './metrics-log.js';

let run: string;
let network: Conv2d;
let optimizer: AdamW;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), 'aaunet-checkpoint-'));
  manualSeed(0);
  network = new Conv2d(8, 8, 3);
  optimizer = new AdamW(network.namedParameters());
});
afterEach(() => {
  network[Symbol.dispose]();
  optimizer[Symbol.dispose]();
  rmSync(run, { recursive: true, force: true });
});

/** Changes weights and optimiser state as a step would, to values that tell the step. */
function pretendStep(step: number): void {
  for (const tensor of network.stateDict().values()) tensor.detach().fill_(step).dispose();
  for (const tensor of optimizer.stateDict().values())
    tensor
      .detach()
      .fill_(10 * step)
      .dispose();
}

function save(step: number): void {
  pretendStep(step);
  saveLast(run, network, optimizer, { step, validated: step - 1, bestDice: step / 10 });
}

/** Overwrites everything in memory, loads, and checks that weights and optimiser are of the same step. */
function expectLoaded(step: number): void {
  pretendStep(99);
  expect(loadLast(run, network, optimizer)).toEqual({ step, validated: step - 1, bestDice: step / 10 });
  for (const tensor of network.stateDict().values()) expect(new Set(tensor.toArray())).toEqual(new Set([step]));
  for (const tensor of optimizer.stateDict().values()) expect(new Set(tensor.toArray())).toEqual(new Set([10 * step]));
}

const files = (): string[] => readdirSync(join(run, 'checkpoints')).sort();

describe('saveLast and loadLast', () => {
  it('bring back weights, optimiser and progress, and leave no tensor behind', () => {
    expect(hasCheckpoint(run)).toBe(false);
    const { tensors } = memoryStats();
    save(3);
    expectLoaded(3);
    expect(memoryStats().tensors).toBe(tensors);
    expect(hasCheckpoint(run)).toBe(true);
  });

  it('keep one state beside the last weights and the best', () => {
    save(1);
    saveBest(run, network, { step: 1, validated: 1, bestDice: 0.5 });
    save(2);
    expect(files()).toEqual(['best.safetensors', 'last.safetensors', 'optimizer-2.safetensors']);
    expect(loadWeights(checkpointPath(run, 'best'), network).bestDice).toBe(0.5);
  });

  it('killed between optimiser and weights, go back to the pair before, and clear up at the next save', () => {
    save(1);
    pretendStep(2);
    saveTensors(join(run, 'checkpoints', 'optimizer-2.safetensors'), optimizer.stateDict());
    const half = join(run, 'checkpoints', '.last.safetensors.0b2f.tmp');
    copyFileSync(checkpointPath(run, 'last'), half);
    truncateSync(half, 100);
    expectLoaded(1);
    save(3);
    expect(files()).toEqual(['last.safetensors', 'optimizer-3.safetensors']);
    expectLoaded(3);
  });

  it('killed between weights and clearing up, go on with the new pair', () => {
    save(1);
    const old = join(run, 'checkpoints', 'optimizer-1.safetensors');
    const bytes = readFileSync(old);
    save(2);
    writeFileSync(old, bytes);
    expectLoaded(2);
  });

  it('leave files alone that are not theirs', () => {
    mkdirSync(join(run, 'checkpoints'));
    for (const name of ['optimizer-best.safetensors', 'notes.txt']) writeFileSync(join(run, 'checkpoints', name), 'x');
    save(1);
    expect(files()).toContain('optimizer-best.safetensors');
    expect(files()).toContain('notes.txt');
  });

  it('refuse a damaged file, a missing state and the weights of another network, each in a sentence that names it', () => {
    save(1);
    const { tensors } = memoryStats();
    using other = new Conv2d(4, 4, 3);
    using otherOptimizer = new AdamW(other.namedParameters());
    expect(() => loadLast(run, other, otherOptimizer)).toThrow(/last\.safetensors: The weights are not this network's/);
    const state = join(run, 'checkpoints', 'optimizer-1.safetensors');
    truncateSync(state, statSync(state).size - 1);
    expect(() => loadLast(run, network, optimizer)).toThrow(/optimizer-1\.safetensors/);
    unlinkSync(state);
    expect(() => loadLast(run, network, optimizer)).toThrow(/optimizer-1\.safetensors/);
    truncateSync(checkpointPath(run, 'last'), 20);
    expect(() => loadLast(run, network, optimizer)).toThrow(/last\.safetensors/);
    expect(memoryStats().tensors - tensors).toBe(2 + 6);
  });
});

describe('MetricsLog', () => {
  const step = (number: number): Metric => ({
    type: 'step',
    step: number,
    epoch: 0,
    loss: 0.5,
    learningRate: 1e-3,
    gradientNorm: 1,
    seconds: 1,
    waited: 0,
  });
  const validation = (number: number): Metric => ({
    type: 'validation',
    step: number,
    epoch: 0,
    meanDice: null,
    dice: {},
  });

  it('continues after the checkpoint: later steps and validations, and a half line, are taken back', async () => {
    {
      using log = await MetricsLog.open(run, { step: 0, validated: 0 });
      for (const metric of [step(1), step(2), validation(2), step(3), step(4), validation(4)]) log.write(metric);
    }
    writeFileSync(join(run, 'metrics.jsonl'), '{"type":"ste', { flag: 'a' });
    expect(readMetrics(run)).toHaveLength(6);
    using log = await MetricsLog.open(run, { step: 4, validated: 2 });
    log.write(validation(4));
    expect(readMetrics(run)).toEqual([step(1), step(2), validation(2), step(3), step(4), validation(4)]);
  });

  it('is empty for a run without one', () => {
    expect(readMetrics(join(run, 'none'))).toEqual([]);
  });
});

describe('on a full disk', () => {
  let disk: SmallDisk | null;
  beforeEach(() => {
    disk = mountSmallDisk(run, 1);
  });
  afterEach(() => {
    disk?.unmount();
  });

  it('a checkpoint fails in one sentence and the one before stays whole', ({ skip }) => {
    skip(disk === null, NO_SMALL_DISK);
    save(1);
    const before = files();
    disk!.fill();
    expect(() => {
      save(2);
    }).toThrow(/^Cannot write .*optimizer-2\.safetensors: ENOSPC: no space left on device/);
    expect(files()).toEqual(before);
    expectLoaded(1);
  });

  it('the log fails in one sentence, and what it holds can be read', async ({ skip }) => {
    skip(disk === null, NO_SMALL_DISK);
    const metric: Metric = { type: 'validation', step: 1, epoch: 0, meanDice: 0.5, dice: {} };
    using log = await MetricsLog.open(run, { step: 0, validated: 0 });
    log.write(metric);
    disk!.fill();
    expect(() => {
      for (;;) log.write(metric);
    }).toThrow(/^Cannot write .*metrics\.jsonl: ENOSPC: no space left on device/);
    expect(readMetrics(run)[0]).toEqual(metric);
  });
});
