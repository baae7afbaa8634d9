import { native } from './native.js';
import type { Tensor } from './tensor.js';

/**
 * Lifetimes are explicit: a tensor lives until it is disposed or the scope it was made in ends. Finalisers would free it
 * too, but they never run inside a synchronous loop such as a training step.
 */
type Scope = Set<Tensor>;

const scopes: Scope[] = [];

/** Registers a new tensor with the innermost scope, if there is one. */
export function adopt(tensor: Tensor): void {
  scopes.at(-1)?.add(tensor);
}

/** Takes a tensor out of every scope: it now lives until it is disposed. Returns the tensor. */
export function keep<T extends Tensor>(tensor: T): T {
  for (const scope of scopes) scope.delete(tensor);
  return tensor;
}

function isTensor(value: unknown): value is Tensor {
  return value instanceof native.TensorHandle;
}

function* tensorsIn(value: unknown): Generator<Tensor> {
  if (isTensor(value)) yield value;
  else if (Array.isArray(value)) for (const item of value) yield* tensorsIn(item);
  else if (value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) yield* tensorsIn(item);
}

/**
 * Runs `body` and disposes every tensor made in it, but for those it returns (alone, in arrays or in plain objects),
 * which pass to the scope around. Scopes nest.
 *
 * @throws if `body` is asynchronous: a scope ends when the call does.
 */
export function tidy<R>(body: () => R): R {
  const scope: Scope = new Set();
  scopes.push(scope);
  let result: R | undefined;
  try {
    result = body();
    if (result instanceof Promise) {
      throw new TypeError('tidy() takes a synchronous function, got one that returns a Promise; dispose with `using`.');
    }
    for (const tensor of tensorsIn(result)) {
      if (scope.delete(tensor)) scopes.at(-2)?.add(tensor);
    }
    return result;
  } finally {
    scopes.splice(scopes.lastIndexOf(scope), 1);
    for (const tensor of scope) tensor.dispose();
  }
}
