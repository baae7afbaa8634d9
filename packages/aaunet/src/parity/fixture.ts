import { readFileSync } from 'node:fs';

import { z } from 'zod';

const samples = z.object({
  shape: z.array(z.number().int().nonnegative()),
  absmax: z.number(),
  index: z.array(z.number().int().nonnegative()),
  value: z.array(z.number()),
});

/** What an independent implementation computes: a network's state dict, and samples of its outputs and gradients. */
const fixture = z.object({
  model: z.string(),
  weights: z.string().optional(),
  seed: z.number().int(),
  input: z.array(z.number().int().positive()).length(4),
  classes: z.number().int().positive(),
  parameters: z.number().int(),
  state: z.array(z.tuple([z.string(), z.array(z.number().int().nonnegative())])),
  eval: samples,
  eval64: samples,
  train: samples.extend({ loss: z.number() }),
  grad: z.record(z.string(), samples),
});

export type Fixture = z.infer<typeof fixture>;
export type Samples = z.infer<typeof samples>;

/** @throws in one sentence when the file is no parity fixture. */
export function readFixture(path: string): Fixture {
  const result = fixture.safeParse(JSON.parse(readFileSync(path, 'utf8')));
  if (!result.success)
    throw new Error(`${path} is not a parity fixture: ${z.prettifyError(result.error).replaceAll('\n', ' ')}`);
  return result.data;
}

/** Draws `count` numbers in [0, 1) of the mulberry32 stream `seed`: draw k depends on seed and k alone. */
export function uniform(seed: number, count: number): Float64Array {
  const out = new Float64Array(count);
  for (let k = 0; k < count; k++) {
    const a = (seed + Math.imul(k + 1, 0x6d2b79f5)) | 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    out[k] = ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  return out;
}

/** FNV-1a of a name's UTF-8 bytes, 32 bits: the seed of a parameter's values. */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** The value that the fixtures' formula gives to a parameter or buffer. */
export function fill(name: string, shape: readonly number[]): Float64Array {
  const count = shape.reduce((product, size) => product * size, 1);
  const symmetric = (): Float64Array => uniform(fnv1a(name), count).map((u) => 2 * u - 1);
  if (name.endsWith('num_batches_tracked')) return new Float64Array(count);
  if (name.endsWith('running_mean')) return symmetric().map((v) => 0.1 * v);
  if (name.endsWith('running_var')) return uniform(fnv1a(name), count).map((u) => 1 + 0.5 * u);
  if (shape.length >= 2) {
    const scale = Math.sqrt(6 / shape.slice(1).reduce((product, size) => product * size, 1));
    return symmetric().map((v) => v * scale);
  }
  return name.endsWith('weight') ? symmetric().map((v) => 1 + 0.1 * v) : symmetric().map((v) => 0.1 * v);
}
