import { native, type Schema } from './native.js';
import type { AtenOperators } from './aten.gen.js';
import { trustsItsArguments } from './trusting.js';

export type Operator = (...args: unknown[]) => unknown;

/** Sees every operator call: what tracing, profiling and counting hang on. Must return what `run` returns. */
export type Observer = (name: string, args: unknown[], run: () => unknown) => unknown;

let observer: Observer | undefined;

/** Lets `watch` see every operator that `body` calls. Observers do not nest: the innermost one sees the call. */
export function observe<R>(watch: Observer, body: () => R): R {
  const before = observer;
  observer = watch;
  try {
    return body();
  } finally {
    observer = before;
  }
}

const known = new Map<string, Operator>();

/**
 * The operator `name` (with its namespace: `aten::conv2d`, `mkldnn::_convolution_pointwise`) and overload, called with
 * positional arguments in the schema's order and, last, an object of keyword arguments.
 *
 * This door leads to all operators, also to those that LibTorch lets trust their arguments: there a wrong shape can end
 * the process. `aten` refuses them.
 *
 * @throws if the running LibTorch has no such operator.
 */
export function operator(name: string, overload = ''): Operator {
  const key = overload === '' ? name : `${name}.${overload}`;
  const before = known.get(key);
  if (before) return before;
  const id = native.lookup(name, overload);
  if (id === null)
    throw new Error(`LibTorch ${native.info().libtorch} has no operator ${key}; see schemas() for those it has.`);
  const call: Operator = (...args) =>
    observer ? observer(key, args, () => native.call(id, ...args)) : native.call(id, ...args);
  known.set(key, call);
  return call;
}

/** Every operator of the running LibTorch. */
export function schemas(): Schema[] {
  return native.schemas();
}

const traps: ProxyHandler<Record<string, Operator>> = {
  get(_target, name) {
    if (typeof name !== 'string') return undefined;
    return overloads(name);
  },
};

const families = new Map<string, Operator>();

/** `aten.add.Tensor(a, b)`, `aten.relu(x)`: the default overload is the function itself, the others its properties. */
function overloads(name: string): Operator {
  const before = families.get(name);
  if (before) return before;
  const qualified = `aten::${name}`;
  const checked = (overload: string): Operator => {
    if (trustsItsArguments(name, overload))
      throw new Error(
        `${qualified} does not check its arguments, and wrong ones end the process: use the operator that it is a part ` +
          `of, or operator('${qualified}'${overload === '' ? '' : `, '${overload}'`}).`,
      );
    return operator(qualified, overload);
  };
  const family: Operator = new Proxy((...args: unknown[]) => checked('')(...args), {
    get: (_target, overload) => (typeof overload === 'string' ? checked(overload) : undefined),
  });
  families.set(name, family);
  return family;
}

/**
 * The ATen operators, typed from the live schemas as PyTorch's `torch.ops.aten` has them. Operators whose names begin
 * with an underscore are LibTorch's internals and trust their arguments; the few others that do so are refused here and
 * reached through {@link operator}.
 */
export const aten = new Proxy({}, traps) as unknown as AtenOperators;
