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

const pair = (value: TracedArgument): number[] =>
  Array.isArray(value) ? (value as number[]).slice(0, 2) : [value as number, value as number];

const tensor = (value: TracedArgument): TracedTensor => value as TracedTensor;

/** The calls of a trace as steps, the fused normalisations taken apart so that there is one form of each thing. */
export function stepsOf(trace: Trace): Step[] {
  return trace.calls.flatMap((call): Step[] => {
    const { operator, arguments: given, results } = call;
    const result = results[0]!;
    switch (operator) {
      case CONVOLUTION: {
        const [input, weight, bias, stride, padding, dilation, groups] = given;
        const geometry = {
          stride: pair(stride ?? 1),
          padding: pair(padding ?? 0),
          dilation: pair(dilation ?? 1),
          groups: (groups ?? 1) as number,
        };
        return [
          {
            kind: 'convolution',
            input: tensor(input),
            weight: tensor(weight),
            bias: (bias ?? null) as TracedTensor | null,
            geometry,
            residual: null,
            activation: null,
            result,
          },
        ];
      }
      case 'aten::batch_norm': {
        const [input, weight, bias, mean, variance, training, , eps] = given;
        if (training === true)
          throw new Error('Expected a network in evaluation mode, found one in training: call eval() first.');
        const parameters = [weight, bias, mean, variance].map((value) => tensor(value));
        return [
          {
            kind: 'normalization',
            input: tensor(input),
            parameters,
            groups: null,
            eps: eps as number,
            residual: null,
            relu: false,
            result,
          },
        ];
      }
      case 'aaunet::batch_norm': {
        const [input, weight, bias, mean, variance, residual, training, , eps, relu] = given;
        if (training === true)
          throw new Error('Expected a network in evaluation mode, found one in training: call eval() first.');
        const parameters = [weight, bias, mean, variance].map((value) => tensor(value));
        return [
          {
            kind: 'normalization',
            input: tensor(input),
            parameters,
            groups: null,
            eps: eps as number,
            residual: (residual ?? null) as TracedTensor | null,
            relu: relu as boolean,
            result,
          },
        ];
      }
      case 'aten::group_norm': {
        const [input, groups, weight, bias, eps] = given;
        return [
          {
            kind: 'normalization',
            input: tensor(input),
            parameters: [tensor(weight), tensor(bias)],
            groups: groups as number,
            eps: eps as number,
            residual: null,
            relu: false,
            result,
          },
        ];
      }
      case 'aaunet::group_norm': {
        const [input, groups, weight, bias, residual, eps, relu] = given;
        return [
          {
            kind: 'normalization',
            input: tensor(input),
            parameters: [tensor(weight), tensor(bias)],
            groups: groups as number,
            eps: eps as number,
            residual: (residual ?? null) as TracedTensor | null,
            relu: relu as boolean,
            result,
          },
        ];
      }
      default:
        return [{ kind: 'plain', ...call }];
    }
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
