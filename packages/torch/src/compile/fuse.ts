import { keep, tidy } from '../scope.js';
import type { Tensor } from '../tensor.js';
import type { TracedTensor } from '../trace.js';
import { inputsOf, resultsOf, type Convolution, type Normalization, type Plain, type Step } from './graph.js';

/** Where each tensor is made and how often it is read; a network's output counts as read once more. */
function usesOf(
  steps: readonly Step[],
  outputs: readonly TracedTensor[],
): { maker: Map<TracedTensor, Step>; reads: Map<TracedTensor, number> } {
  const maker = new Map<TracedTensor, Step>();
  const reads = new Map<TracedTensor, number>();
  for (const step of steps) {
    for (const result of resultsOf(step)) maker.set(result, step);
    for (const input of inputsOf(step)) reads.set(input, (reads.get(input) ?? 0) + 1);
  }
  for (const output of outputs) reads.set(output, (reads.get(output) ?? 0) + 1);
  return { maker, reads };
}

/**
 * Joins each step with the one before it where that one alone makes what it reads: batch norm goes into the weights of
 * its convolution, additions, ReLU and sigmoid into the convolution or normalisation that makes their input.
 *
 * @param own takes every tensor that is made here, for the caller to dispose
 */
export function fuse(
  steps: readonly Step[],
  outputs: readonly TracedTensor[],
  own: (tensor: Tensor) => Tensor,
): Step[] {
  return joinSteps(steps, outputs, own, [foldBatchNorm, absorbAddition, absorbActivation]);
}

/** Only batch norm into the weights before it; see {@link fuse}. */
export function foldBatchNorms(
  steps: readonly Step[],
  outputs: readonly TracedTensor[],
  own: (tensor: Tensor) => Tensor,
): Step[] {
  return joinSteps(steps, outputs, own, [foldBatchNorm]);
}

function joinSteps(
  steps: readonly Step[],
  outputs: readonly TracedTensor[],
  own: (tensor: Tensor) => Tensor,
  joins: readonly Join[],
): Step[] {
  let fused = [...steps];
  for (const join of joins) {
    const { maker, reads } = usesOf(fused, outputs);
    const soleMaker = (tensor: TracedTensor): Step | undefined =>
      reads.get(tensor) === 1 ? maker.get(tensor) : undefined;
    const joined: Step[] = [];
    const gone = new Set<Step>();
    for (const step of fused) {
      const found = join(step, soleMaker, own);
      if (found) gone.add(found.absorbed);
      const now = found?.step ?? step;
      if (found) for (const result of resultsOf(now)) maker.set(result, now);
      joined.push(now);
    }
    fused = joined.filter((step) => !gone.has(step));
  }
  return fused;
}

type Join = (step: Step, soleMaker: SoleMaker, own: (tensor: Tensor) => Tensor) => Joined;
type SoleMaker = (tensor: TracedTensor) => Step | undefined;
type Joined = { step: Step; absorbed: Step } | undefined;

/** Batch norm of running statistics after a convolution is a convolution (Jacob et al. 2018, arXiv:1712.05877, eq. 14). */
function foldBatchNorm(step: Step, soleMaker: SoleMaker, own: (tensor: Tensor) => Tensor): Joined {
  if (step.kind !== 'normalization' || step.groups !== null) return undefined;
  const before = soleMaker(step.input);
  if (before?.kind !== 'convolution' || before.activation || before.residual || !before.weight.constant)
    return undefined;
  const [scale, shift, mean, variance] = step.parameters.map(({ constant }) => constant);
  if (!scale || !shift || !mean || !variance) return undefined;
  const [weight, bias] = tidy(() => {
    const factor = scale.mul(variance.add(step.eps).pow(-0.5));
    const offset = before.bias?.constant ? before.bias.constant.sub(mean) : mean.neg();
    return [before.weight.constant!.mul(factor.reshape(-1, 1, 1, 1)), offset.mul(factor).add(shift)];
  });
  return {
    absorbed: before,
    step: {
      ...before,
      weight: constantOf(own(weight)),
      bias: constantOf(own(bias)),
      residual: step.residual,
      activation: step.relu ? 'relu' : null,
      result: step.result,
    },
  };
}

function constantOf(value: Tensor): TracedTensor {
  return { shape: [...value.shape], dtype: value.dtype, constant: keep(value) };
}

function isAddition(step: Step): step is Plain {
  return step.kind === 'plain' && step.operator === 'aten::add.Tensor' && Object.keys(step.keywords).length === 0;
}

function absorbAddition(step: Step, soleMaker: SoleMaker): Joined {
  if (!isAddition(step)) return undefined;
  const [a, b] = step.arguments as readonly [TracedTensor, TracedTensor];
  if (step.arguments.length !== 2 || a === b || a.shape.join() !== b.shape.join()) return undefined;
  for (const [input, residual] of [
    [b, a],
    [a, b],
  ] as const) {
    const before = soleMaker(input);
    if (residual.constant !== undefined || !before) continue;
    if (before.kind === 'convolution' && !before.activation && !before.residual)
      return { absorbed: before, step: { ...before, residual, result: step.results[0]! } };
    if (before.kind === 'normalization' && !before.relu && !before.residual)
      return { absorbed: before, step: { ...before, residual, result: step.results[0]! } };
  }
  return undefined;
}

function absorbActivation(step: Step, soleMaker: SoleMaker): Joined {
  if (step.kind !== 'plain' || (step.operator !== 'aten::relu' && step.operator !== 'aten::sigmoid')) return undefined;
  const before = soleMaker(step.arguments[0] as TracedTensor);
  const result = step.results[0]!;
  if (before?.kind === 'convolution' && !before.activation) {
    const joined: Convolution = { ...before, activation: step.operator === 'aten::relu' ? 'relu' : 'sigmoid', result };
    return { absorbed: before, step: joined };
  }
  if (before?.kind === 'normalization' && !before.relu && step.operator === 'aten::relu') {
    const joined: Normalization = { ...before, relu: true, result };
    return { absorbed: before, step: joined };
  }
  return undefined;
}
