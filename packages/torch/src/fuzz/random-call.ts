import { grad } from '../autograd.js';
import type { Schema, SchemaArgument } from '../native.js';
import { aten, operator } from '../operators.js';
import { tidy } from '../scope.js';
import { empty } from '../create.js';
import { Tensor, type Dtype } from '../tensor.js';
import { trustsItsArguments } from '../trusting.js';

type Random = () => number;

/** Numbers in [0, 1) that repeat with the seed (mulberry32). */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const SHAPES = [[], [0], [1], [3], [4], [2, 3], [3, 3], [0, 3], [2, 3, 4], [1, 2, 4, 4], [2, 4, 4, 4], [1, 2, 3, 4, 4]];
const DTYPES: Dtype[] = ['float32', 'float64', 'int64', 'int32', 'bool', 'uint8', 'bfloat16', 'float16', 'complex64'];
const INTEGERS = [0, 1, 2, 3, 4, -1, -2, 7, 2 ** 40, -(2 ** 40), 2n ** 62n, -(2n ** 63n)];
const NUMBERS = [0, 1, 0.5, -1, 2, 1e-5, 1e300, -1e300, NaN, Infinity];
const STRINGS = [
  '',
  'none',
  'mean',
  'sum',
  'constant',
  'reflect',
  'replicate',
  'circular',
  'ij',
  'left',
  'tanh',
  'linear',
];
const DEVICES = ['cpu', 'cpu', 'meta', 'cuda', 'cpu:7', 'xla', 'nowhere'];
const LAYOUTS = ['strided', 'sparse'];
const FORMATS = ['contiguous_format', 'preserve_format', 'channels_last', 'channels_last_3d'];
/** What no operator expects. */
const NONSENSE = [undefined, null, {}, () => 0, Symbol('x'), 'text', [[]], [null], new Float32Array(2), 2n ** 70n];

function one<T>(random: Random, items: readonly T[]): T {
  return items[Math.floor(random() * items.length)]!;
}

/** The habits of one call: most tensors share a shape and a dtype, or else few calls would get past the first check. */
interface Habits {
  shape: readonly number[];
  dtype: Dtype;
  differentiable: boolean;
}

function randomTensor(random: Random, habits: Habits, leaves: Tensor[]): Tensor {
  const shape = random() < 0.85 ? habits.shape : one(random, SHAPES);
  const dtype = random() < 0.9 ? habits.dtype : one(random, DTYPES);
  let tensor = empty(shape, { dtype });
  const spread = one(random, [0, 1, 3, 3, 100, 1e6]);
  if (dtype === 'bool') tensor.fill_(random() < 0.5);
  else if (dtype === 'complex64') aten.view_as_real(tensor).fill_(random());
  else if (dtype === 'uint8') aten.random_.from(tensor, 0, Math.min(spread, 200) + 1);
  else if (dtype.startsWith('int')) aten.random_.from(tensor, one(random, [0, -spread]), spread + 1);
  else aten.uniform_(tensor, -Math.min(spread, 100), Math.min(spread, 100) + 1e-3);
  const layout = random();
  if (layout < 0.04 && shape.length > 1) tensor = tensor.transpose(0, -1);
  else if (layout < 0.07 && shape.length === 4) tensor = tensor.contiguous('channels_last');
  else if (layout < 0.09) tensor = aten.expand(tensor.unsqueeze(0), [2, ...shape]);
  else if (layout < 0.095) tensor = tensor.to({ device: 'meta' });
  else if (layout < 0.1 && dtype === 'float32') tensor = aten.to_mkldnn(tensor);
  else if (layout < 0.11) tensor = aten.to_sparse(tensor);
  if (habits.differentiable && /float|complex/.test(dtype)) {
    tensor.requiresGrad = true;
    leaves.push(tensor);
  }
  return tensor;
}

function randomValue(
  random: Random,
  type: string,
  length: number | undefined,
  habits: Habits,
  leaves: Tensor[],
): unknown {
  if (random() < 0.004) return one(random, NONSENSE);
  if (type.endsWith('?')) return random() < 0.4 ? null : randomValue(random, type.slice(0, -1), length, habits, leaves);
  if (type.endsWith('[]')) {
    const count = length !== undefined && random() < 0.9 ? length : Math.floor(random() * 5);
    return Array.from({ length: count }, () => randomValue(random, type.slice(0, -2), undefined, habits, leaves));
  }
  switch (type) {
    case 'Tensor':
      return randomTensor(random, habits, leaves);
    case 'int':
    case 'SymInt':
      return random() < 0.97 ? one(random, INTEGERS.slice(0, 6)) : one(random, INTEGERS);
    case 'float':
      return one(random, NUMBERS);
    case 'Scalar':
      return one(random, [...NUMBERS, true, 3n]);
    case 'bool':
      return random() < 0.5;
    case 'str':
      return one(random, STRINGS);
    case 'ScalarType':
      return one(random, [...DTYPES, habits.dtype, habits.dtype]);
    case 'Device':
      return one(random, DEVICES);
    case 'Layout':
      return one(random, LAYOUTS);
    case 'MemoryFormat':
      return one(random, FORMATS);
    default:
      return null;
  }
}

/**
 * Calls an operator with random arguments that mostly have the right types, and often its gradient too. What it throws is
 * as it should be; what matters is that it returns at all.
 *
 * @returns whether the operator accepted the arguments.
 */
export function randomCall(schema: Schema, random: Random): boolean {
  return tidy(() => {
    const habits: Habits = {
      shape: one(random, SHAPES),
      dtype: random() < 0.6 ? 'float32' : one(random, DTYPES),
      differentiable: random() < 0.4,
    };
    const leaves: Tensor[] = [];
    try {
      const make = (argument: SchemaArgument): unknown =>
        argument.optional && random() < 0.6
          ? undefined
          : randomValue(random, argument.type, argument.length, habits, leaves);
      const positional = schema.arguments.filter((argument) => !argument.keyword).map(make);
      const keywords = schema.arguments
        .filter((argument) => argument.keyword)
        .map((argument): [string, unknown] => [argument.name, make(argument)]);
      const result = operator(schema.name, schema.overload)(...positional, Object.fromEntries(keywords));
      const output = Array.isArray(result) ? (result[0] as unknown) : result;
      if (output instanceof Tensor && output.requiresGrad) {
        const sum = output.dtype.includes('complex') ? aten.view_as_real(output).sum() : output.sum();
        const [first] = grad([sum], leaves, { allowUnused: true, createGraph: random() < 0.3 });
        if (first?.requiresGrad) grad([first.sum()], leaves, { allowUnused: true });
      }
      return true;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return false;
    }
  });
}

/** The ATen operators that are everybody's to call: the others trust their arguments. */
export function publicOperators(schemas: readonly Schema[]): Schema[] {
  return schemas
    .filter(
      ({ name, overload }) => /^aten::[^_]/.test(name) && !trustsItsArguments(name.slice('aten::'.length), overload),
    )
    .sort((a, b) => `${a.name}.${a.overload}`.localeCompare(`${b.name}.${b.overload}`));
}

/** A seed of the operator's own, so that a call can be repeated by itself. */
export function seedOf({ name, overload }: Schema, attempt: number): number {
  let hash = 0x811c9dc5;
  for (const character of `${name}.${overload}#${attempt}`)
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  return hash >>> 0;
}
