import { aten, operator } from '../operators.js';
import { bfloat16On } from '../runtime.js';
import { keep, tidy } from '../scope.js';
import { noGrad } from '../autograd.js';
import type { Layer } from '../nn/module.js';
import { zeros } from '../create.js';
import { Tensor } from '../tensor.js';
import { isTracedTensor, trace, type TracedArgument, type TracedTensor } from '../trace.js';
import { fuse } from './fuse.js';
import { inputsOf, resultsOf, stepsOf, type Convolution, type Normalization, type Plain, type Step } from './graph.js';

export interface CompileOptions {
  /**
   * In which convolutions and what lies between them compute; weights are kept in it. Where the processor has no
   * instructions for bfloat16, oneDNN has no kernels for it or slow ones, and float32 takes its place.
   */
  readonly precision: 'float32' | 'bfloat16';
}

/** A network made ready for one size of image, on the CPU. Its weights are its own. */
export interface CompiledNetwork extends Disposable {
  /** N x C x H x W float32, C, H and W as compiled for, any N; returns what the network does, in float32. */
  forward(image: Tensor): Tensor;
  /** How many of each kind of step there are, for people. */
  readonly steps: Readonly<Record<string, number>>;
}

type Values = Map<TracedTensor, Tensor>;
type Run = (values: Values) => readonly Tensor[];

/**
 * Compiles a network for inference on the CPU: batch norm is folded into weights, additions, ReLU and sigmoid are done by the
 * convolution or normalisation before them, weights lie as oneDNN wants them, activations are channels-last and in
 * `precision`, and every tensor is freed after its last use. Outputs equal the network's in float32 to about 1e-5 of their
 * scale, in bfloat16 to the rounding of bfloat16.
 *
 * @param network in evaluation mode, on the CPU; it takes one image and returns one tensor
 * @param shape C x H x W of an image
 * @throws Error if the network is in training mode
 */
export function compile(
  network: Layer,
  shape: readonly [number, number, number],
  options: CompileOptions,
): CompiledNetwork {
  const precision = bfloat16On('cpu') === 'computed' ? options.precision : 'float32';
  const owned: Tensor[] = [];
  const own = (tensor: Tensor): Tensor => {
    owned.push(keep(tensor));
    return tensor;
  };
  const dispose = (): void => {
    for (const tensor of owned) tensor.dispose();
  };
  try {
    return noGrad(() =>
      tidy(() => {
        using traced = trace((image) => network.forward(image), [zeros([1, ...shape]).contiguous('channels_last')]);
        const steps = fuse(stepsOf(traced), traced.outputs, own);
        const compiler = new Compiler(precision, own);
        const program = steps.map((step, index) => ({
          step,
          run: compiler.lower(step, diesAfter(steps, index, traced.outputs)),
        }));
        const frees = lastUses(steps, traced.outputs);
        const [input, output] = [traced.inputs[0]!, traced.outputs[0]!];
        return {
          steps: countKinds(steps),
          forward: (image: Tensor) =>
            tidy(() =>
              noGrad(() => {
                const values: Values = new Map([
                  [input, image.to({ dtype: precision, memoryFormat: 'channels_last' })],
                ]);
                for (const [index, { step, run }] of program.entries()) {
                  const results = tidy(() => run(values));
                  for (const [i, result] of resultsOf(step).entries()) values.set(result, results[i]!);
                  for (const dead of frees[index]!) values.get(dead)?.dispose();
                }
                return values.get(output)!.to('float32');
              }),
            ),
          [Symbol.dispose]: dispose,
        };
      }),
    );
  } catch (error) {
    dispose();
    throw error;
  }
}

function countKinds(steps: readonly Step[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const step of steps) {
    const name = step.kind === 'plain' ? step.operator : step.kind;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** For each step the tensors that no later one reads. */
function lastUses(steps: readonly Step[], outputs: readonly TracedTensor[]): readonly TracedTensor[][] {
  const frees: TracedTensor[][] = steps.map(() => []);
  const seen = new Set<TracedTensor>(outputs);
  for (let index = steps.length - 1; index >= 0; index--) {
    for (const tensor of [...inputsOf(steps[index]!), ...resultsOf(steps[index]!)]) {
      if (seen.has(tensor)) continue;
      seen.add(tensor);
      frees[index]!.push(tensor);
    }
  }
  return frees;
}

/** Whether a tensor that step `index` reads is read by none after it. */
function diesAfter(
  steps: readonly Step[],
  index: number,
  outputs: readonly TracedTensor[],
): (tensor: TracedTensor) => boolean {
  return (tensor) =>
    !outputs.includes(tensor) && !steps.slice(index + 1).some((later) => inputsOf(later).includes(tensor));
}

/** Operators that need more digits than bfloat16 has, as under autocast. */
const IN_FLOAT32 = new Set(['aten::softmax.int', 'aten::instance_norm']);

/** See `Conv2d`: oneDNN's bfloat16 kernel for such convolutions writes out of bounds. */
function corruptsTheHeapInBfloat16({ weight }: Convolution): boolean {
  const [outChannels = 0, inChannels = 0, height] = weight.shape;
  return height === 1 && inChannels > 2048 && outChannels < 16;
}

class Compiler {
  constructor(
    private readonly precision: 'float32' | 'bfloat16',
    private readonly own: (tensor: Tensor) => Tensor,
  ) {}

  lower(step: Step, dies: (tensor: TracedTensor) => boolean): Run {
    if (step.kind === 'convolution') return this.convolution(step, dies);
    if (step.kind === 'normalization') return this.normalization(step);
    return this.plain(step);
  }

  private constant(tensor: TracedTensor, dtype: string): Tensor {
    return this.own(tensor.constant!.to({ dtype: dtype as 'float32' }).clone());
  }

  private convolution(step: Convolution, dies: (tensor: TracedTensor) => boolean): Run {
    const { input, residual, activation, geometry } = step;
    if (!step.weight.constant) throw new Error('Expected weights of convolutions that do not depend on the image.');
    const type = corruptsTheHeapInBfloat16(step) ? 'float32' : this.precision;
    const { padding, stride, dilation, groups } = geometry;
    const inputSize = [1, ...input.shape.slice(1)];
    const bias = step.bias ? this.constant(step.bias, type) : null;
    const filtered = type === 'float32' && activation !== 'sigmoid' ? this.minimalFiltering(step, bias) : null;
    if (filtered) return filtered;
    const plainWeight = this.constant(step.weight, type);
    const weight = this.own(
      operator('mkldnn::_reorder_convolution_weight')(
        plainWeight,
        padding,
        stride,
        dilation,
        groups,
        inputSize,
      ) as Tensor,
    );
    const unary = activation ?? 'none';
    const read = (values: Values, tensor: TracedTensor): Tensor => {
      const value = values.get(tensor)!;
      return value.dtype === type ? value : value.to(type);
    };
    const finish = (tensor: Tensor): Tensor => (tensor.dtype === this.precision ? tensor : tensor.to(this.precision));
    if (!residual) {
      const call = operator('mkldnn::_convolution_pointwise');
      return (values) => [
        finish(
          call(...[read(values, input), weight, bias, padding, stride, dilation, groups, unary, [], '']) as Tensor,
        ),
      ];
    }
    const binary = ['add', 1, activation, [], null];
    if (residual !== input && !residual.isShared && !input.isShared && dies(residual)) {
      const call = operator('mkldnn::_convolution_pointwise_', 'binary');
      return (values) => {
        const sum = read(values, residual);
        return [
          finish(
            call(...[sum, read(values, input), weight, bias, padding, stride, dilation, groups, ...binary]) as Tensor,
          ),
        ];
      };
    }
    const call = operator('mkldnn::_convolution_pointwise', 'binary');
    return (values) => [
      finish(
        call(
          ...[read(values, input), read(values, residual), weight, bias, padding, stride, dilation, groups, ...binary],
        ) as Tensor,
      ),
    ];
  }

  /** By minimal filtering, where the machine and the convolution's shape are such that this is faster. */
  private minimalFiltering(
    { input, weight, residual, activation, geometry }: Convolution,
    bias: Tensor | null,
  ): Run | null {
    const { padding, stride, dilation, groups } = geometry;
    const inputSize = [1, ...input.shape.slice(1)];
    const plain = weight.constant!.to({ dtype: 'float32' });
    const filters = operator('aaunet::winograd_weights')(
      plain,
      inputSize,
      stride,
      padding,
      dilation,
      groups,
    ) as Tensor | null;
    if (!filters) return null;
    const own = this.own(filters);
    const call = operator('aaunet::winograd_convolution');
    const outChannels = weight.shape[0];
    return (values) => {
      const added = residual ? values.get(residual)! : null;
      return [
        call(values.get(input)!, own, outChannels, padding, groups, bias, added, activation === 'relu') as Tensor,
      ];
    };
  }

  private normalization({ input, residual, parameters, groups, eps, relu }: Normalization): Run {
    const own = parameters.map((parameter) => this.constant(parameter, 'float32'));
    const call = operator(groups === null ? 'aaunet::batch_norm' : 'aaunet::group_norm');
    return (values) => {
      const added = residual ? values.get(residual)! : null;
      const x = values.get(input)!;
      const given = groups === null ? [x, ...own, added, false, 0, eps, relu] : [x, groups, ...own, added, eps, relu];
      return [call(...given) as Tensor];
    };
  }

  private plain(step: Plain): Run {
    const [name = '', overload] = step.operator.split('.');
    // Conversions were to the one precision of the trace.
    if (name === 'aten::to') return (values) => [aten.alias(values.get(step.arguments[0] as TracedTensor)!)];
    const call = operator(name, overload);
    const inFloat32 = IN_FLOAT32.has(step.operator) && this.precision !== 'float32';
    const constants = new Map<TracedTensor, Tensor>();
    const prepare = (argument: TracedArgument): void => {
      if (Array.isArray(argument)) argument.forEach(prepare);
      else if (isTracedTensor(argument) && argument.constant) {
        const isReal = argument.dtype === 'float32';
        const type = inFloat32 ? 'float32' : this.precision;
        constants.set(argument, isReal ? this.constant(argument, type) : this.constant(argument, argument.dtype));
      }
    };
    [...step.arguments, ...Object.values(step.keywords)].forEach(prepare);
    const resolve = (argument: TracedArgument, values: Values): unknown => {
      if (Array.isArray(argument)) return argument.map((item: TracedArgument) => resolve(item, values));
      if (!isTracedTensor(argument)) return argument;
      const value = constants.get(argument) ?? values.get(argument)!;
      return inFloat32 && value.dtype === this.precision ? value.to('float32') : value;
    };
    const keywords = Object.entries(step.keywords);
    return (values) => {
      const given = step.arguments.map((argument) => resolve(argument, values));
      if (name === 'aten::reshape') given[1] = forBatch(step, values);
      const found = call(
        ...given,
        ...(keywords.length > 0
          ? [Object.fromEntries(keywords.map(([key, value]) => [key, resolve(value, values)]))]
          : []),
      );
      const results = (Array.isArray(found) ? found : [found]) as Tensor[];
      return inFloat32 ? results.map((result) => result.to(this.precision)) : results;
    };
  }
}

/** The shape that a trace of one image gave, for as many images as there are. */
function forBatch(step: Plain, values: Values): readonly number[] {
  const input = step.arguments[0] as TracedTensor;
  const shape = step.arguments[1] as readonly number[];
  return input.shape[0] === 1 && shape[0] === 1 ? [values.get(input)!.shape[0]!, ...shape.slice(1)] : shape;
}
