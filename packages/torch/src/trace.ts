import { aten, observe } from './operators.js';
import { keep, tidy } from './scope.js';
import { Tensor } from './tensor.js';

/** A tensor of a trace: an input, the result of a call, or a constant such as a weight. */
export interface TracedTensor {
  readonly shape: readonly number[];
  readonly dtype: string;
  /** The value of a constant, which belongs to the trace; absent where it depends on the inputs. */
  readonly constant?: Tensor;
  /** Operators whose result may share the memory of their input, in-place ones refuse: {@link trace}. */
  isShared?: boolean;
}

export type TracedArgument =
  TracedTensor | number | bigint | boolean | string | null | undefined | readonly TracedArgument[];

/** One call of an operator, arguments as the schema has them. */
export interface TracedCall {
  /** With namespace and overload, as `aten::add.Tensor`. */
  readonly operator: string;
  readonly arguments: readonly TracedArgument[];
  readonly keywords: Readonly<Record<string, TracedArgument>>;
  readonly results: readonly TracedTensor[];
}

/** What a function computes from its inputs: calls in order of execution, without in-place operators. */
export interface Trace extends Disposable {
  readonly inputs: readonly TracedTensor[];
  readonly outputs: readonly TracedTensor[];
  readonly calls: readonly TracedCall[];
}

export function isTracedTensor(argument: TracedArgument): argument is TracedTensor {
  return typeof argument === 'object' && argument !== null && 'shape' in argument;
}

/** Every tensor among the arguments of a call. */
export function* tensorsOf(call: TracedCall): Generator<TracedTensor> {
  for (const argument of [...call.arguments, ...Object.values(call.keywords)]) yield* within(argument);
}

function* within(argument: TracedArgument): Generator<TracedTensor> {
  if (isTracedTensor(argument)) yield argument;
  else if (Array.isArray(argument)) for (const item of argument as readonly TracedArgument[]) yield* within(item);
}

/** Their result is their input or a copy, by how that lies in memory, which another number of images may change. */
const VIEWS_OR_COPIES = new Set(['contiguous', 'flatten', 'reshape', 'to', 'type_as'].map((name) => `aten::${name}`));

function* tensorsIn(argument: unknown): Generator<Tensor> {
  if (argument instanceof Tensor) yield argument;
  else if (Array.isArray(argument)) for (const item of argument) yield* tensorsIn(item);
}

/**
 * Runs `body` once on `inputs` and records the operators that depend on them; everything else (weights, what is computed
 * from weights alone, sizes) becomes a constant. An in-place operator is recorded as the operator that returns its result.
 * What autocast or autograd do inside an operator is not seen: trace without them.
 *
 * @throws if an in-place operator works on a tensor that another may share memory with, or on a constant.
 */
export function trace(body: (...inputs: Tensor[]) => Tensor | readonly Tensor[], inputs: readonly Tensor[]): Trace {
  const known = new Map<Tensor, TracedTensor>();
  const calls: TracedCall[] = [];
  const constants: Tensor[] = [];

  const add = (tensor: Tensor): TracedTensor => {
    const traced = { shape: [...tensor.shape], dtype: tensor.dtype };
    known.set(tensor, traced);
    return traced;
  };
  const constant = (tensor: Tensor): TracedTensor => {
    const value = unobserved(() => keep(aten.detach(tensor)));
    constants.push(value);
    const traced = { shape: [...tensor.shape], dtype: tensor.dtype, constant: value };
    known.set(tensor, traced);
    return traced;
  };
  const record = (argument: unknown): TracedArgument => {
    if (argument instanceof Tensor) return known.get(argument) ?? constant(argument);
    if (Array.isArray(argument)) return argument.map(record);
    return argument as TracedArgument;
  };
  const dependsOnInputs = (tensor: Tensor): boolean => {
    const traced = known.get(tensor);
    return traced !== undefined && traced.constant === undefined;
  };

  const watch = (name: string, all: unknown[], run: () => unknown): unknown => {
    const last = all.at(-1);
    const hasKeywords = typeof last === 'object' && last !== null && !Array.isArray(last) && !(last instanceof Tensor);
    const positional = hasKeywords ? all.slice(0, -1) : all;
    const keywords = hasKeywords ? (last as Record<string, unknown>) : {};
    const given = [...tensorsIn([...positional, ...Object.values(keywords)])];
    if (!given.some(dependsOnInputs)) return run();
    const [base = '', overload] = name.split('.');
    const isInPlace = base.endsWith('_');
    const changed = positional[0] as Tensor;
    if (isInPlace) {
      const traced = known.get(changed);
      if (!traced || traced.constant || traced.isShared)
        throw new Error(
          `${name} changes a tensor whose memory others share, which a trace cannot show: use ${base.slice(0, -1)}.`,
        );
    }
    const call = {
      operator: isInPlace ? [base.slice(0, -1), ...(overload === undefined ? [] : [overload])].join('.') : name,
      arguments: positional.map(record),
      keywords: Object.fromEntries(Object.entries(keywords).map(([key, value]) => [key, record(value)])),
    };
    const result = run();
    const results = (Array.isArray(result) ? result : [result]) as Tensor[];
    const traced = results.map(add);
    if (isInPlace) known.set(changed, traced[0]!);
    if (!isInPlace) {
      for (const one of results)
        for (const other of given.filter((tensor) => VIEWS_OR_COPIES.has(base) || one.sharesMemory(tensor)))
          for (const shared of [one, other]) known.get(shared)!.isShared = true;
    }
    calls.push({ ...call, results: traced });
    return result;
  };

  const tracedInputs = inputs.map((input) => {
    const traced = add(input);
    traced.isShared = true; // The caller still has it.
    return traced;
  });
  const dispose = (): void => {
    for (const tensor of constants) tensor.dispose();
  };
  try {
    const outputs = tidy(() => {
      const result = observe(watch, () => body(...inputs));
      return [result].flat().map((tensor) => known.get(tensor) ?? constant(tensor));
    });
    return { inputs: tracedInputs, outputs, calls, [Symbol.dispose]: dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

function unobserved<R>(body: () => R): R {
  return observe((_name, _args, run) => run(), body);
}
