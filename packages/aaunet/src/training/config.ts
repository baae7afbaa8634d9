import { SQUARE_FITS } from '@aaunet/imaging';
import { z } from 'zod';
import { parseWith, readJsonValue } from '../schema-errors.js';

const positive = z.number().positive();
const share = z.number().min(0).max(1);
/** A strict object whose every key has a default, so that a configuration names only what differs. */
const section = <T extends z.ZodRawShape>(shape: T) => z.strictObject(shape).prefault({} as never);

/** Symmetric or explicit range [low, high]. */
const range = z.tuple([z.number(), z.number()]).refine(([low, high]) => low <= high, 'expected [low, high], low first');

/**
 * A complete training configuration: it alone repeats a run. Defaults are the paper's where the paper gives them
 * (AdamW, cyclic learning rate, focal loss with gamma 2, 512x512, three slices), ours elsewhere.
 */
const trainConfigShape = z.strictObject({
  model: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]*$/, 'expected a model name as "aaunet models" lists them')
    .default('rsu-sc'),
  /** Folder of the data set. */
  data: z.string().min(1),
  /** In-plane size in pixels of the network's input; a multiple of 32. */
  size: z.int().min(32).max(1024).multipleOf(32).default(512),
  /** Slices that are not square are padded with air, or stretched as earlier versions did. */
  fit: z.enum(SQUARE_FITS).default('pad'),
  /** Slices of a step, all processes together. */
  batch: z.int().min(1).max(1024).default(8),
  /** Passes that a step's batch is cut into, one after another: their gradients add up, with the memory of one. */
  accumulate: z.int().min(1).max(1024).default(1),
  /** Whether batch norm's statistics are those of all processes' slices. */
  syncBatchNorm: z.boolean().default(true),
  epochs: z.int().min(1).default(100),
  /** Ends the training after so many steps, whatever `epochs` says; null: no limit. */
  maxSteps: z.int().min(1).nullable().default(null),
  /** Steps of an epoch; null: as many as the sampler gives. */
  stepsPerEpoch: z.int().min(1).nullable().default(null),
  /** Cyclic between base and max. */
  learningRate: section({ base: positive.default(1e-5), max: positive.default(1e-3) }).refine(
    ({ base, max }) => base <= max,
    'expected learningRate.base no larger than learningRate.max',
  ),
  /** triangular2: up and down between base and max, the amplitude halved after each cycle. */
  cycle: section({
    mode: z.enum(['triangular', 'triangular2', 'constant']).default('triangular2'),
    /** Steps from base to max; null: half a cycle of a tenth of the training. */
    stepsUp: z.int().min(1).nullable().default(null),
    /** Steps from max back to base; null: as many as up. */
    stepsDown: z.int().min(1).nullable().default(null),
  }),
  optimizer: section({
    betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]).default([0.9, 0.999]),
    eps: positive.default(1e-8),
    weightDecay: z.number().min(0).default(1e-2),
  }),
  /** Largest gradient norm; null: no clipping. */
  clipNorm: positive.nullable().default(1),
  /** fp64 is for comparing runs digit by digit. */
  precision: z.enum(['bf16', 'fp32', 'fp64']).default('bf16'),
  loss: section({ focalGamma: z.number().min(0).default(2) }),
  /** Weights of the types are inverse to the root of their pixel counts, the median type's 1, capped; the background's is fixed. */
  classWeights: section({
    background: positive.default(0.05),
    min: positive.default(0.5),
    max: positive.default(4),
    /** Weights by label id, background first, once known; null: computed from the training split. */
    values: z.array(positive).length(8).nullable().default(null),
  }).refine(({ min, max }) => min <= max, 'expected classWeights.min no larger than classWeights.max'),
  augmentation: section({
    enabled: z.boolean().default(true),
    /** Largest rotation to either side, degrees. */
    rotation: z.number().min(0).max(180).default(15),
    scale: range.refine(([low]) => low > 0, 'expected a positive scale').default([0.9, 1.1]),
    /** Largest shift to either side, as a part of the size (the random crop of the paper). */
    shift: share.default(0.06),
    /** Probability of a left-right flip. */
    flip: share.default(0.5),
    /** Factors are drawn from 1 - x to 1 + x. */
    contrast: share.default(0.15),
    brightness: share.default(0.1),
    saturation: share.default(0.1),
  }),
  seed: z.int().nonnegative().default(0),
  /** HU window that is scaled to 0..1. */
  window: section({ center: z.number().default(50), width: positive.default(200) }),
  sampler: section({
    emptyShare: share.default(0.25),
    rareShare: share.default(0.12),
    maxRepeat: z.int().min(1).default(4),
  }),
  /** Validates after every so many epochs; the last epoch is always validated. */
  validateEvery: z.int().min(1).default(1),
  /** Weights of an encoder or a whole network to start from: a .safetensors or .pth file, or timm's name of a model; null: random. */
  init: z.string().min(1).nullable().default(null),
  device: z
    .string()
    .regex(/^(cpu|cuda(:\d+)?)$/, 'expected "cpu", "cuda" or "cuda:N"')
    .default('cpu'),
  /** CPU threads; null: LibTorch's own choice. */
  threads: z.int().min(1).nullable().default(null),
});

/** The shape, and what must fit together in it. */
export const trainConfigSchema = trainConfigShape.refine(({ batch, accumulate }) => batch % accumulate === 0, {
  path: ['accumulate'],
  message: 'expected a divisor of "batch"',
});

export type TrainConfig = z.output<typeof trainConfigSchema>;
/** A configuration in which everything but the data folder may be left to the defaults. */
export type TrainConfigInput = z.input<typeof trainConfigSchema>;

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function merge(base: unknown, over: unknown): unknown {
  if (!isPlainObject(base) || !isPlainObject(over)) return over === undefined ? base : over;
  const keys = new Set([...Object.keys(base), ...Object.keys(over)]);
  return Object.fromEntries([...keys].map((key) => [key, merge(base[key], over[key])]));
}

/**
 * The complete configuration: defaults, under the values of a file, under those of the command line, all checked by
 * one schema.
 *
 * @param source what the error names as the origin of a bad value.
 * @throws Error of one sentence for an unknown key or a value out of range.
 */
export function resolveTrainConfig(
  file: unknown,
  flags: unknown = {},
  source = 'The training configuration',
): TrainConfig {
  // What is no object takes no flags and is refused as it is.
  return parseWith(trainConfigSchema, isPlainObject(file) ? merge(file, flags) : file, source);
}

/** Settings that the command line has an option for. */
const WITH_OPTION = ['model', 'size', 'batch', 'epochs', 'maxSteps', 'precision', 'seed'];

/** Settings in which two configurations differ, without those in `free`, each with both values: "--size 64 (asked: 96)". */
export function describeChanges(
  before: TrainConfig,
  asked: TrainConfig,
  free: readonly (keyof TrainConfig)[],
): string[] {
  const keys = (Object.keys(before) as (keyof TrainConfig)[]).filter((key) => !free.includes(key));
  return keys.flatMap((key) => changesOf(key, before[key], asked[key]));
}

function changesOf(name: string, before: unknown, asked: unknown): string[] {
  if (isPlainObject(before) && isPlainObject(asked))
    return Object.keys(before).flatMap((key) => changesOf(`${name}.${key}`, before[key], asked[key]));
  if (JSON.stringify(before) === JSON.stringify(asked)) return [];
  const option = WITH_OPTION.includes(name)
    ? `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    : `"${name}"`;
  const shown = (value: unknown): string =>
    value === null ? 'none' : typeof value === 'string' ? value : JSON.stringify(value);
  return [`${option} ${shown(before)} (asked: ${shown(asked)})`];
}

/** Reads a configuration file and puts the command line's values over it (see `resolveTrainConfig`). */
export async function readTrainConfig(path: string, flags: unknown = {}): Promise<TrainConfig> {
  return resolveTrainConfig(await readJsonValue(path), flags, path);
}
