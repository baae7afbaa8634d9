import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { writeNiftiFile } from '@aaunet/imaging/node';
import { loadTensors, memoryStats, saveTensors } from '@aaunet/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { labelPath } from '../datasets/dataset.js';
import { buildModel } from '../models/registry.js';
import { tinyScan, writeTinyDataset } from '../testing/tiny-dataset.js';
import { checkpointPath, hasCheckpoint, readProgress } from './checkpoint.js';
import { resolveTrainConfig, type TrainConfig, type TrainConfigInput } from './config.js';
import type { TrainEvent } from './events.js';
import { readMetrics } from './metrics-log.js';
import { train, type TrainResult } from './train.js';

const STEPS_PER_EPOCH = 3;
const STEPS = 6;
/** For machines that do other things besides. */
const TIMEOUT = 300_000;

// The first three losses in fp32.
const PINNED = [0.223176, 0.2474, 0.266] as const;

let folder: string;
let data: string;
const runOf = (name: string): string => join(folder, name);

function configOf(over: Partial<TrainConfigInput> = {}): TrainConfig {
  return resolveTrainConfig({
    data,
    size: 64,
    batch: 2,
    epochs: 2,
    stepsPerEpoch: STEPS_PER_EPOCH,
    precision: 'fp32',
    seed: 5,
    ...over,
  });
}

/** Everything of metrics.jsonl but how long it took. */
function history(run: string): unknown[] {
  return readMetrics(run).map((metric) => ({ ...metric, seconds: 0, waited: 0 }));
}

function lossesOf(run: string): number[] {
  return readMetrics(run).flatMap((metric) => (metric.type === 'step' ? [metric.loss] : []));
}

/** Trains until a step is done, as Ctrl-C would end it. */
function trainUntil(step: number, config: TrainConfig, run: string): Promise<TrainResult> {
  const controller = new AbortController();
  const onEvent = (event: TrainEvent): void => {
    if (event.type === 'step' && event.step === step) controller.abort(new Error('enough'));
  };
  return train(config, { run, onEvent, signal: controller.signal });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-train-'));
  data = join(folder, 'data');
  await writeTinyDataset(data);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe.each(['fp32', 'bf16'] as const)('train in %s', { timeout: TIMEOUT }, (precision) => {
  const live = new Map<number, number>();
  let before: number;
  let after: number;
  let result: TrainResult;
  const name = `whole-${precision}`;
  beforeAll(async () => {
    before = memoryStats().tensors;
    result = await train(configOf({ precision }), {
      run: runOf(name),
      onEvent: (event) => {
        if (event.type === 'step') live.set(event.step, memoryStats().tensors);
      },
    });
    after = memoryStats().tensors;
  }, TIMEOUT);

  it('does all steps, validates after each epoch and leaves what repeats, continues and uses the run', () => {
    const run = runOf(name);
    expect(result).toMatchObject({ run, steps: STEPS, interrupted: false });
    const order = readMetrics(run).map(({ type, step }) => `${type} ${step}`);
    expect(order).toEqual([
      ...[1, 2, 3].map((step) => `step ${step}`),
      'validation 3',
      ...[4, 5, 6].map((step) => `step ${step}`),
      'validation 6',
    ]);
    for (const file of ['config.json', 'environment.json', 'model.json', 'checkpoints/best.safetensors'])
      expect(existsSync(join(run, file)), file).toBe(true);
    expect(readProgress(checkpointPath(run, 'last'))).toMatchObject({ step: STEPS, validated: STEPS });
  });

  it('holds as many tensors late as after the second step, and none at the end', () => {
    // The same place in the epoch: as many batches are read ahead.
    expect(live.get(STEPS_PER_EPOCH + 2)).toBe(live.get(2));
    expect(live.get(STEPS_PER_EPOCH + 3)).toBe(live.get(3));
    expect(after).toBe(before);
  });

  const stops: [string, number][] = [
    ['in the middle of an epoch', 2],
    ['at the end of an epoch, before its validation', STEPS_PER_EPOCH],
    ['after the last step, before its validation', STEPS],
  ];
  it.each(precision === 'fp32' ? stops : stops.slice(0, 1))(
    'stopped %s and resumed, repeats the uninterrupted history exactly',
    async (_, step) => {
      const run = runOf(`stopped-${precision}-${step}`);
      const first = await trainUntil(step, configOf({ precision }), run);
      expect(first).toMatchObject({ steps: step, interrupted: true });
      expect(lossesOf(run)).toHaveLength(step);
      const second = await train(configOf({ precision }), { run, resume: true });
      expect(second).toEqual({ ...result, run });
      expect(history(run)).toEqual(history(runOf(name)));
      await rm(join(run, 'checkpoints'), { recursive: true });
    },
  );
});

describe('train', { timeout: TIMEOUT }, () => {
  it('begins with these losses (a change here changes every published run)', () => {
    const [first, second, third] = lossesOf(runOf('whole-fp32'));
    expect(first).toBeCloseTo(PINNED[0], 4);
    expect(second).toBeCloseTo(PINNED[1], 3);
    expect(third).toBeCloseTo(PINNED[2], 3);
    const [rounded] = lossesOf(runOf('whole-bf16'));
    expect(Math.abs(rounded! / PINNED[0] - 1)).toBeLessThan(0.05);
  });

  it('changes its losses with the seed', async () => {
    const run = runOf('seed');
    await trainUntil(1, configOf({ seed: 6 }), run);
    expect(lossesOf(run)[0]).not.toBe(lossesOf(runOf('whole-fp32'))[0]);
  });

  it('takes back what a kill left beyond the checkpoint, a half line included', async () => {
    const run = runOf('killed');
    await trainUntil(2, configOf(), run);
    const log = join(run, 'metrics.jsonl');
    const beyond = { ...readMetrics(run).at(-1)!, step: 3, loss: 99 };
    writeFileSync(log, `${readFileSync(log, 'utf8')}${JSON.stringify(beyond)}\n{"type":"st`);
    await train(configOf(), { run, resume: true });
    expect(history(run)).toEqual(history(runOf('whole-fp32')));
  });

  it('finds a wrong network, device or weights file before it prepares data or makes a run folder', async () => {
    const untouched = join(folder, 'untouched');
    await cp(data, untouched, { recursive: true, filter: (path) => !path.includes('.aaunet-cache') });
    const run = runOf('typos');
    for (const [over, message] of [
      [{ model: 'nonet' }, /There is no network 'nonet'/],
      [{ device: 'cuda:99' }, /^Expected a CUDA device as "cuda:99", but .*; choose --device cpu/],
      [{ init: join(folder, 'nosuch.safetensors') }, /nosuch\.safetensors/],
    ] as const)
      await expect(train(configOf({ data: untouched, ...over }), { run })).rejects.toThrow(message);
    expect(existsSync(run)).toBe(false);
    expect(existsSync(join(untouched, '.aaunet-cache'))).toBe(false);
  });

  it('can be stopped while it validates, with a checkpoint of the steps before', async () => {
    const run = runOf('validating');
    const controller = new AbortController();
    // The checkpoint is written at the end of the epoch; what follows is the validation.
    const poll = (): void => {
      if (hasCheckpoint(run)) controller.abort(new Error('enough'));
      else setImmediate(poll);
    };
    poll();
    const stopped = await train(configOf(), { run, signal: controller.signal });
    expect(stopped).toMatchObject({ steps: STEPS_PER_EPOCH, interrupted: true });
    expect(readProgress(checkpointPath(run, 'last'))).toMatchObject({ step: STEPS_PER_EPOCH, validated: 0 });
    expect(readMetrics(run).map(({ type }) => type)).not.toContain('validation');
    await train(configOf(), { run, resume: true });
    expect(history(run)).toEqual(history(runOf('whole-fp32')));
    await rm(join(run, 'checkpoints'), { recursive: true });
  });

  it('says which line of the log or which file of the checkpoint is damaged or gone', async () => {
    const run = runOf('damaged');
    await cp(runOf('killed'), run, { recursive: true });
    const log = readFileSync(join(run, 'metrics.jsonl'), 'utf8');
    writeFileSync(join(run, 'metrics.jsonl'), `{"type"\n${log}`);
    expect(() => readMetrics(run)).toThrow(/line 1 of .*damaged.metrics\.jsonl, which is damaged; remove the line/);
    writeFileSync(join(run, 'metrics.jsonl'), log);
    await rm(join(run, 'checkpoints', `optimizer-${readProgress(checkpointPath(run, 'last')).step}.safetensors`));
    await expect(train(configOf(), { run, resume: true })).rejects.toThrow(
      /^Expected the optimiser's state at .*optimizer-\d+\.safetensors beside last\.safetensors; put it back, or start anew/,
    );
    await rm(run, { recursive: true });
  });

  it('refuses a folder that holds a training, unless it is to be resumed', async () => {
    await expect(train(configOf(), { run: runOf('killed') })).rejects.toThrow(
      /already holds a training; continue it with --resume or name another folder/,
    );
  });

  it('refuses to resume with other options, naming both values, before it prepares data, and changes nothing', async () => {
    const run = runOf('killed');
    const before = readFileSync(join(run, 'config.json'), 'utf8');
    const untouched = join(folder, 'unprepared');
    await cp(data, untouched, { recursive: true, filter: (path) => !path.includes('.aaunet-cache') });
    const other = { data: untouched, size: 96, maxSteps: 9, learningRate: { max: 0.5 } };
    await expect(train(configOf(other), { run, resume: true })).rejects.toThrow(
      'was begun with --size 64 (asked: 96), --max-steps none (asked: 9), "learningRate.max" 0.001 (asked: 0.5); resume it without these options',
    );
    expect(existsSync(join(untouched, '.aaunet-cache'))).toBe(false);
    expect(readFileSync(join(run, 'config.json'), 'utf8')).toBe(before);
  });

  it('resumes with the data in another place, with the split it was begun with, but not with other data', async () => {
    const run = runOf('killed');
    const moved = join(folder, 'moved');
    await cp(data, moved, { recursive: true });
    const splits = readFileSync(join(moved, 'splits.json'), 'utf8');
    const { train: trained, val, test } = JSON.parse(splits) as Record<string, string[]>;
    writeFileSync(join(moved, 'splits.json'), JSON.stringify({ train: test, val, test: trained }));
    await train(configOf({ data: moved }), { run, resume: true });
    expect(JSON.parse(readFileSync(join(run, 'splits.json'), 'utf8'))).toMatchObject(JSON.parse(splits) as object);

    const { labels } = tinyScan(trained![0]!, 64);
    await writeNiftiFile(labelPath(moved, trained![0]!), {
      ...labels,
      data: labels.data.map((id) => (id === 1 ? 2 : id)),
    });
    const before = readFileSync(join(run, 'config.json'), 'utf8');
    await expect(train(configOf({ data: moved, threads: 1 }), { run, resume: true })).rejects.toThrow(
      /killed was begun with other slices or labels than .*moved holds; resume it with the data that it was begun with/,
    );
    expect(readFileSync(join(run, 'config.json'), 'utf8')).toBe(before);
    await rm(join(moved, '.aaunet-cache'), { recursive: true });
  });

  it('has nothing to do where everything is done', async () => {
    const run = runOf('killed');
    const result = await train(configOf(), { run, resume: true });
    expect(result).toMatchObject({ steps: STEPS, interrupted: false });
    expect(history(run)).toEqual(history(runOf('whole-fp32')));
  });

  it('ends in one sentence when the loss is no longer a number, and keeps the checkpoint before', async () => {
    const run = runOf('diverged');
    const config = configOf({
      learningRate: { base: 1e30, max: 1e30 },
      cycle: { mode: 'constant' },
      stepsPerEpoch: 1,
      epochs: 3,
    });
    const before = memoryStats().tensors;
    await expect(train(config, { run })).rejects.toThrow(
      /^The (loss|gradientNorm) became (NaN|Infinity) at step 2\. The checkpoint before it is kept: to go on from its weights, start anew with a lower learningRate\.max or clipNorm and --init .*last\.safetensors\.$/,
    );
    expect(memoryStats().tensors).toBe(before);
    expect(readProgress(checkpointPath(run, 'last')).step).toBe(1);
    const { tensors } = loadTensors(checkpointPath(run, 'last'));
    for (const [name, tensor] of tensors) {
      if (!name.includes('running_')) expect(Number.isFinite(tensor.to('float64').sum().item()), name).toBe(true);
      tensor.dispose();
    }
  });

  it('starts from the weights of a network or of its encoder alone, and refuses those of neither', async () => {
    using network = buildModel('rsu-sc');
    const state = [...network.stateDict()];
    const encoder = state
      .filter(([key]) => key.startsWith('encoder.'))
      .map(([key, value]) => [key.slice(8), value] as const);
    const messages: string[] = [];
    const start = async (init: string, run: string): Promise<void> => {
      const controller = new AbortController();
      const onEvent = (event: TrainEvent): void => {
        if (event.type === 'message') messages.push(event.text);
        if (event.type === 'start') controller.abort();
      };
      await train(configOf({ init }), { run, onEvent, signal: controller.signal });
    };
    const path = join(folder, 'init.safetensors');
    saveTensors(path, new Map(encoder));
    await start(path, runOf('from-encoder'));
    saveTensors(path, new Map(state));
    await start(path, runOf('from-network'));
    expect(messages[0]).toContain(`Loaded ${encoder.length} of ${encoder.length} tensors of the encoder`);
    expect(messages[1]).toContain(`Loaded ${state.length} of ${state.length} tensors`);
    saveTensors(path, new Map([['other.weight', state[0]![1]]]));
    await expect(start(path, runOf('from-other'))).rejects.toThrow('has no weight that fits this network');
  });
});
