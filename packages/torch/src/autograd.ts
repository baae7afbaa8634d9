import { native } from './native.js';
import type { Dtype, Tensor } from './tensor.js';

function synchronous<R>(what: string, result: R): R {
  if (result instanceof Promise) {
    throw new TypeError(
      `${what}() takes a synchronous function: the mode belongs to the thread and ends with the call.`,
    );
  }
  return result;
}

function withGradMode<R>(on: boolean, what: string, body: () => R): R {
  const before = native.setGradMode(on);
  try {
    return synchronous(what, body());
  } finally {
    native.setGradMode(before);
  }
}

/** Runs `body` without recording for gradients. */
export function noGrad<R>(body: () => R): R {
  return withGradMode(false, 'noGrad', body);
}

/** Records for gradients again, inside `noGrad`. */
export function enableGrad<R>(body: () => R): R {
  return withGradMode(true, 'enableGrad', body);
}

/**
 * Gradients of `outputs` by `inputs`, without touching any `grad`.
 *
 * @returns one tensor for each input, null for an unused one where `allowUnused`.
 */
export function grad(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  options: {
    gradients?: readonly (Tensor | null)[];
    retainGraph?: boolean;
    createGraph?: boolean;
    allowUnused?: boolean;
  } = {},
): (Tensor | null)[] {
  const {
    gradients = outputs.map(() => null),
    createGraph = false,
    retainGraph = createGraph,
    allowUnused = false,
  } = options;
  return native.grad([...outputs], [...inputs], [...gradients], retainGraph, createGraph, allowUnused);
}

/**
 * Runs `body` in mixed precision: operators that gain from it compute in `dtype`, those that would suffer in float32.
 * Scopes nest; `enabled: false` suspends an outer one.
 */
export function autocast<R>(options: { device?: 'cpu' | 'cuda'; dtype?: Dtype; enabled?: boolean }, body: () => R): R {
  const { device = 'cpu', enabled = true, dtype = device === 'cpu' ? 'bfloat16' : 'float16' } = options;
  const before = native.enterAutocast(device, enabled, dtype);
  try {
    return synchronous('autocast', body());
  } finally {
    native.leaveAutocast(device, before);
  }
}
