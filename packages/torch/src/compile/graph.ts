import { observe } from '../operators.js';
import type { Tensor } from '../tensor.js';
import { tensorsOf, type Trace, type TracedArgument, type TracedCall, type TracedTensor } from '../trace.js';

/** What a fused convolution does after it has summed: add another tensor, then a function of each value. */
export interface Convolution {
  readonly kind: 'convolution';
  readonly input: TracedTensor;
  readonly weight: TracedTensor;
  readonly bias: TracedTensor | null;
  readonly geometry: { stride: number[]; padding: number[]; dilation: number[]; groups: number };
  readonly residual: TracedTensor | null;
  readonly activation: 'relu' | 'sigmoid' | null;
  readonly result: TracedTensor;
}

/** Batch norm with running statistics, or group norm where `groups` is given; residual added, then ReLU. */
export interface Normalization {
  readonly kind: 'normalization';
  readonly input: TracedTensor;
  /** Weight and bias; for batch norm the running mean and variance too. */
  readonly parameters: readonly TracedTensor[];
  readonly groups: number | null;
  readonly eps: number;
  readonly residual: TracedTensor | null;
  readonly relu: boolean;
  readonly result: TracedTensor;
}

/** Any other operator, called as it was. */
export interface Plain extends TracedCall {
  readonly kind: 'plain';
}

export type Step = Convolution | Normalization | Plain;

export function resultsOf(step: Step): readonly TracedTensor[] {
  return step.kind === 'plain' ? step.results : [step.result];
}

/** The tensors a step reads that are no weights of its own. */
export function inputsOf(step: Step): readonly TracedTensor[] {
  if (step.kind === 'plain') return [...tensorsOf(step)].filter(({ constant }) => constant === undefined);
  return step.residual ? [step.input, step.residual] : [step.input];
}

const CONVOLUTION = 'aten::conv2d';

type Reader = (given: readonly TracedArgument[], result: TracedTensor) => Step;

const pair = (value: TracedArgument | undefined, otherwise: number): number[] =>
  Array.isArray(value)
    ? (value as number[]).slice(0, 2)
    : [(value ?? otherwise) as number, (value ?? otherwise) as number];

const tensor = (value: TracedArgument): TracedTensor => value as TracedTensor;

const optional = (value: TracedArgument | undefined): TracedTensor | null => (value ?? null) as TracedTensor | null;

/** The operators that become steps of their own kind, the fused normalisations taken apart so that there is one form of each thing. */
const READERS: Readonly<Record<string, Reader>> = {
  [CONVOLUTION]: ([input, weight, bias, stride, padding, dilation, groups], result) => ({
    kind: 'convolution',
    input: tensor(input),
    weight: tensor(weight),
    bias: optional(bias),
    geometry: {
      stride: pair(stride, 1),
      padding: pair(padding, 0),
      dilation: pair(dilation, 1),
      groups: (groups ?? 1) as number,
    },
    residual: null,
    activation: null,
    result,
  }),
  'aten::batch_norm': ([input, weight, bias, mean, variance, training, , eps], result) =>
    normalization({ input, parameters: [weight, bias, mean, variance], training, eps, result }),
  'aaunet::batch_norm': ([input, weight, bias, mean, variance, residual, training, , eps, relu], result) =>
    normalization({ input, parameters: [weight, bias, mean, variance], training, eps, residual, relu, result }),
  'aten::group_norm': ([input, groups, weight, bias, eps], result) =>
    normalization({ input, parameters: [weight, bias], groups, eps, result }),
  'aaunet::group_norm': ([input, groups, weight, bias, residual, eps, relu], result) =>
    normalization({ input, parameters: [weight, bias], groups, eps, residual, relu, result }),
};

function normalization(given: {
  readonly input: TracedArgument;
  readonly parameters: readonly TracedArgument[];
  readonly groups?: TracedArgument;
  readonly training?: TracedArgument;
  readonly eps: TracedArgument;
  readonly residual?: TracedArgument;
  readonly relu?: TracedArgument;
  readonly result: TracedTensor;
}): Normalization {
  if (given.training === true)
    throw new Error('Expected a network in evaluation mode, found one in training: call eval() first.');
  return {
    kind: 'normalization',
    input: tensor(given.input),
    parameters: given.parameters.map(tensor),
    groups: (given.groups ?? null) as number | null,
    eps: given.eps as number,
    residual: optional(given.residual),
    relu: given.relu === true,
    result: given.result,
  };
}

/** The calls of a trace as steps. */
export function stepsOf(trace: Trace): Step[] {
  return trace.calls.map((call) => {
    const read = READERS[call.operator];
    return read ? read(call.arguments, call.results[0]!) : { kind: 'plain', ...call };
  });
}

/** What the convolutions of a trace read, in order of execution: as {@link observeConvolutions} counts them. */
export function convolutionInputs(trace: Trace): TracedTensor[] {
  return trace.calls.filter(({ operator }) => operator === CONVOLUTION).map((call) => tensor(call.arguments[0]));
}

/** Shows `watch` what each convolution that `body` runs reads, with its number in order of execution. */
export function observeConvolutions(watch: (input: Tensor, index: number) => void, body: () => void): void {
  let index = 0;
  observe((name, args, run) => {
    if (name === CONVOLUTION)
      observe(
        (_name, _args, inner) => inner(),
        () => {
          watch(args[0] as Tensor, index++);
        },
      );
    return run();
  }, body);
}
