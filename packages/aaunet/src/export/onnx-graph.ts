import type { Tensor } from '@aaunet/torch';
import type { ResizeMode } from '@aaunet/torch/nn';
import {
  type Convolution,
  type Normalization,
  type Plain,
  type Step,
  type TracedArgument,
  type TracedTensor,
} from '@aaunet/torch/compile';

import type { Attribute, OnnxGraph, OnnxInitializer, OnnxNode, OnnxType } from './onnx-file.js';

/** Values that 8 bits must reach, from calibration; 0 is among them. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** How a convolution computes in 8 bits. */
export interface RoundedConvolution {
  readonly input: Range;
  /** Before a residual is added; where there is none, after the activation. */
  readonly output: Range;
}

export interface GraphOptions {
  /** In which the network computes; normalisations and softmax stay in float32. */
  readonly type: 'float32' | 'float16';
  /** Convolutions that compute in 8 bits. */
  readonly quantized?: ReadonlyMap<Convolution, RoundedConvolution> | undefined;
  /** Size of the batch; any where absent. */
  readonly batch?: number | undefined;
}

const ints = (values: readonly number[]): Attribute => ({ ints: values });
/** What LibTorch's interpolations are called in ONNX. */
const RESIZE: Record<ResizeMode, Record<string, Attribute>> = {
  nearest: {
    mode: { text: 'nearest' },
    coordinate_transformation_mode: { text: 'asymmetric' },
    nearest_mode: { text: 'floor' },
  },
  bilinear: { mode: { text: 'linear' }, coordinate_transformation_mode: { text: 'half_pixel' } },
  aligned: { mode: { text: 'linear' }, coordinate_transformation_mode: { text: 'align_corners' } },
};

/** One number for both axes, one for each, or none. */
type Size = TracedArgument | undefined;
type Flag = TracedArgument;

const pair = (value: Size, fallback: number): number[] => {
  const given = value ?? fallback;
  const list = Array.isArray(given) ? (given as number[]) : [given as number];
  return list.length === 0 ? [fallback, fallback] : [list[0]!, list[1] ?? list[0]!];
};
/** ONNX names padding before and after of each axis. */
const around = (padding: readonly number[]): number[] => [...padding, ...padding];

const pooling = (kernel: Size, stride: Size, padding: Size, ceil: Flag | undefined): Record<string, Attribute> => ({
  kernel_shape: ints(pair(kernel, 1)),
  strides: ints(pair(stride, 1)),
  pads: ints(around(pair(padding, 0))),
  ceil_mode: { int: ceil === true ? 1 : 0 },
});

/**
 * Whole numbers that a weight takes to either side of 0, in 7 bits: with 8, the pairs of products that x86 processors without
 * VNNI add in 16 bits overflow (https://github.com/microsoft/onnxruntime/pull/12088).
 */
const WEIGHT_STEPS = 63;

/**
 * Turns the steps of a network, traced with one image, into an ONNX graph with input `image` and output `logits`, both
 * float32. Group norm is written out, as ONNX Runtime has no kernel for it on the CPU.
 */
export class GraphBuilder {
  private readonly nodes: OnnxNode[] = [];
  private readonly initializers: OnnxInitializer[] = [];
  private readonly names = new Map<TracedTensor, string>();
  /** Tensors as they are after rounding to 8 bits. */
  private readonly rounded = new Map<TracedTensor, string>();
  private count = 0;

  constructor(private readonly options: GraphOptions) {}

  build(name: string, steps: readonly Step[], input: TracedTensor, output: TracedTensor): OnnxGraph {
    const batch = this.options.batch ?? 'batch';
    this.names.set(input, this.fromFloat32('image'));
    for (const step of steps) this.add(step);
    this.node('Identity', [this.toFloat32(this.nameOf(output))], {}, 'logits');
    const value = (of: string, { shape }: TracedTensor) => ({
      name: of,
      type: 'float32' as const,
      shape: [batch, ...shape.slice(1)],
    });
    return {
      name,
      nodes: this.nodes,
      initializers: this.initializers,
      inputs: [value('image', input)],
      outputs: [value('logits', output)],
    };
  }

  private add(step: Step): void {
    if (step.kind === 'convolution') this.names.set(step.result, this.convolution(step));
    else if (step.kind === 'normalization')
      this.names.set(
        step.result,
        this.activate(this.plus(this.normalization(step), step.residual), step.relu ? 'relu' : null),
      );
    else if (step.operator === 'aten::split.Tensor') this.split(step);
    else this.names.set(step.results[0]!, this.plain(step));
  }

  private plus(name: string, residual: TracedTensor | null): string {
    return residual ? this.node('Add', [name, this.nameOf(residual)]) : name;
  }

  private activate(name: string, activation: 'relu' | 'sigmoid' | null): string {
    if (activation === null) return name;
    return this.node(activation === 'relu' ? 'Relu' : 'Sigmoid', [name]);
  }

  private convolution(step: Convolution): string {
    const { geometry, bias } = step;
    const attributes = {
      kernel_shape: ints(step.weight.shape.slice(2)),
      strides: ints(geometry.stride),
      pads: ints(around(geometry.padding)),
      dilations: ints(geometry.dilation),
      group: { int: geometry.groups },
    };
    const { residual, activation, result } = step;
    const rounding = this.options.quantized?.get(step);
    const inputs = rounding
      ? [this.roundedInput(step.input, rounding.input), this.quantizedWeight(step.weight.constant!)]
      : [this.nameOf(step.input), this.nameOf(step.weight)];
    const sum = this.node('Conv', bias ? [...inputs, this.nameOf(bias)] : inputs, attributes);
    if (!rounding) return this.activate(this.plus(sum, residual), activation);
    // Only a convolution whose output is rounded, too, is one that a runtime computes in whole numbers.
    if (residual) return this.activate(this.plus(this.round(sum, rounding.output), residual), activation);
    const name = this.round(this.activate(sum, activation), rounding.output);
    this.rounded.set(result, name);
    return name;
  }

  private roundedInput(input: TracedTensor, range: Range): string {
    const name = this.rounded.get(input) ?? this.round(this.nameOf(input), range);
    this.rounded.set(input, name);
    return name;
  }

  /** Rounded to 8 bits and back: the pair that a runtime joins with the convolutions at both sides. */
  private round(name: string, { min, max }: Range): string {
    const scale = Math.max(max - min, 1e-8) / 255;
    const scaleName = this.float32([scale], []);
    const zero = this.bytes('uint8', [], Uint8Array.of(Math.min(255, Math.max(0, Math.round(-min / scale)))));
    const rounded = this.node('QuantizeLinear', [name, scaleName, zero]);
    return this.node('DequantizeLinear', [rounded, scaleName, zero]);
  }

  /** Symmetric, each output channel with a scale of its own. */
  private quantizedWeight(weight: Tensor): string {
    const [channels = 0] = weight.shape;
    const values = Float32Array.from(weight.toArray());
    const each = values.length / channels;
    const scales = Float32Array.from({ length: channels }, (_, c) => {
      let largest = 1e-8;
      for (let i = c * each; i < (c + 1) * each; i++) largest = Math.max(largest, Math.abs(values[i]!));
      return largest / WEIGHT_STEPS;
    });
    const rounded = Int8Array.from(values, (value, i) => Math.round(value / scales[Math.floor(i / each)]!));
    const zeros = this.bytes('int8', [channels], new Uint8Array(channels));
    const quantized = this.bytes('int8', weight.shape, new Uint8Array(rounded.buffer));
    return this.node('DequantizeLinear', [quantized, this.float32([...scales], [channels]), zeros], {
      axis: { int: 0 },
    });
  }

  private normalization({ input, parameters, groups, eps }: Normalization): string {
    const [, channels = 0, height = 0, width = 0] = input.shape;
    const wide = this.toFloat32(this.nameOf(input));
    const values = parameters.map(({ constant }) => constant!.toArray());
    if (groups === null) {
      const given = values.map((list) => this.float32(list, [channels]));
      return this.fromFloat32(this.node('BatchNormalization', [wide, ...given], { epsilon: { float: eps } }));
    }
    const grouped = this.node('Reshape', [wide, this.shape([0, groups, -1])]);
    const one = this.float32(new Array<number>(groups).fill(1), [groups]);
    const zero = this.float32(new Array<number>(groups).fill(0), [groups]);
    const normal = this.node('InstanceNormalization', [grouped, one, zero], { epsilon: { float: eps } });
    const back = this.node('Reshape', [normal, this.shape([0, channels, height, width])]);
    const scaled = this.node('Mul', [back, this.float32(values[0]!, [1, channels, 1, 1])]);
    return this.fromFloat32(this.node('Add', [scaled, this.float32(values[1]!, [1, channels, 1, 1])]));
  }

  private split(step: Plain): void {
    const [input, , dim] = step.arguments;
    const axis = (dim ?? 0) as number;
    const sizes = this.integers(step.results.map(({ shape }) => shape[axis]!));
    const outputs = step.results.map((one) => {
      const name = this.fresh();
      this.names.set(one, name);
      return name;
    });
    const inputs = [this.nameOf(input as TracedTensor), sizes];
    this.nodes.push({ type: 'Split', inputs, outputs, attributes: { axis: { int: axis } } });
  }

  private plain(step: Plain): string {
    const name = this.operators[step.operator]?.(step, ...(step.arguments as never[]));
    if (name !== undefined) return name;
    throw new Error(
      `Expected a network of operators that ONNX has, found ${step.operator}: this network cannot be exported.`,
    );
  }

  /** What ONNX has for each operator, by the step and its arguments; undefined where it has nothing for these. */
  private readonly operators: Readonly<Record<string, (step: Plain, ...given: never[]) => string | undefined>> = {
    // Conversions were to the one precision of the trace.
    'aten::to.device': (_, input: TracedTensor) => this.nameOf(input),
    'aten::relu': (_, input: TracedTensor) => this.node('Relu', [this.nameOf(input)]),
    'aten::sigmoid': (_, input: TracedTensor) => this.node('Sigmoid', [this.nameOf(input)]),
    'aten::add.Tensor': ({ keywords }, a: TracedTensor, b: TracedTensor) =>
      Object.keys(keywords).length > 0 ? undefined : this.node('Add', [this.nameOf(a), this.nameOf(b)]),
    'aten::mul.Tensor': (_, a: TracedTensor, b: TracedTensor) => this.node('Mul', [this.nameOf(a), this.nameOf(b)]),
    'aten::mean.dim': (_, input: TracedTensor, axes: readonly number[], keepsAxes: TracedArgument) =>
      axes.join() === '2,3' && keepsAxes === true ? this.imageMean(input) : undefined,
    'aten::softmax.int': (_, input: TracedTensor, axis: number) =>
      this.fromFloat32(this.node('Softmax', [this.toFloat32(this.nameOf(input))], { axis: { int: axis } })),
    'aten::reshape': (_, input: TracedTensor, [first, ...others]: readonly number[]) =>
      // The first axis is the batch, of which the trace had one.
      this.node('Reshape', [this.nameOf(input), this.shape([first === 1 ? 0 : first!, ...others])]),
    'aten::select.int': (_, input: TracedTensor, axis: number, index: number) =>
      this.node('Gather', [this.nameOf(input), this.integers([index], [])], { axis: { int: axis } }),
    'aten::max_pool2d': (
      _,
      input: TracedTensor,
      kernel: Size,
      stride: Size,
      padding: Size,
      dilation: Size,
      ceil?: Flag,
    ) =>
      this.node('MaxPool', [this.nameOf(input)], {
        ...pooling(kernel, stride, padding, ceil),
        dilations: ints(pair(dilation, 1)),
      }),
    'aten::avg_pool2d': (_, input: TracedTensor, kernel: Size, stride: Size, padding: Size, ceil?: Flag, pads?: Flag) =>
      this.node('AveragePool', [this.nameOf(input)], {
        ...pooling(kernel, stride, padding, ceil),
        count_include_pad: { int: pads === false ? 0 : 1 },
      }),
    'aten::instance_norm': (
      _,
      input: TracedTensor,
      weight: TracedTensor,
      bias: TracedTensor,
      _mean: unknown,
      _variance: unknown,
      _ofInput: unknown,
      _momentum: unknown,
      eps: number,
    ) => {
      const given = [weight, bias].map(({ constant, shape }) => this.float32(constant!.toArray(), shape));
      const wide = this.toFloat32(this.nameOf(input));
      return this.fromFloat32(this.node('InstanceNormalization', [wide, ...given], { epsilon: { float: eps } }));
    },
    'aaunet::concatenate_resized': ({ results }, inputs: readonly TracedTensor[], _size: unknown, mode: ResizeMode) =>
      this.concatenateResized(inputs, results[0]!, mode),
    'aaunet::image_mean': (_, input: TracedTensor) => this.imageMean(input),
    'aaunet::weigh_splits': (_, input: TracedTensor, weights: TracedTensor, radix: number) =>
      this.weighSplits(input, this.nameOf(weights), radix),
    'aaunet::weigh_pixels': (_, input: TracedTensor, weights: TracedTensor) =>
      this.node('Mul', [this.nameOf(input), this.nameOf(weights)]),
  };

  private imageMean(input: TracedTensor): string {
    return this.fromFloat32(this.node('GlobalAveragePool', [this.toFloat32(this.nameOf(input))]));
  }

  private weighSplits(input: TracedTensor, weights: string, radix: number): string {
    const [, channels = 0] = input.shape;
    const column = this.node('Reshape', [weights, this.shape([0, channels, 1, 1])]);
    const weighed = this.node('Mul', [this.nameOf(input), column]);
    if (radix === 1) return weighed;
    const outputs = Array.from({ length: radix }, () => this.fresh());
    const sizes = this.integers(outputs.map(() => channels / radix));
    this.nodes.push({ type: 'Split', inputs: [weighed, sizes], outputs, attributes: { axis: { int: 1 } } });
    return outputs.reduce((sum, split) => this.node('Add', [sum, split]));
  }

  private concatenateResized(tensors: readonly TracedTensor[], to: TracedTensor, mode: ResizeMode): string {
    const resized = tensors.map((one) => {
      const scales = to.shape.map((size, axis) => (axis < 2 ? 1 : size / one.shape[axis]!));
      if (scales.every((scale) => scale === 1)) return this.nameOf(one);
      return this.node('Resize', [this.nameOf(one), '', this.float32(scales, [4])], RESIZE[mode]);
    });
    return resized.length === 1 ? resized[0]! : this.node('Concat', resized, { axis: { int: 1 } });
  }

  private fresh(): string {
    return `t${this.count++}`;
  }

  private node(
    type: string,
    inputs: readonly string[],
    attributes: Record<string, Attribute> = {},
    output = this.fresh(),
  ): string {
    this.nodes.push({ type, inputs, outputs: [output], attributes });
    return output;
  }

  private nameOf(tensor: TracedTensor): string {
    const before = this.names.get(tensor);
    if (before !== undefined) return before;
    if (!tensor.constant) throw new Error('A tensor is read before it is made.');
    const name = this.constant(tensor.constant);
    this.names.set(tensor, name);
    return name;
  }

  private constant(tensor: Tensor): string {
    const { type } = this.options;
    using converted = tensor.to(type);
    using plain = converted.contiguous();
    const data = plain.data(type);
    return this.bytes(type, tensor.shape, new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice());
  }

  private float32(values: readonly number[], shape: readonly number[]): string {
    return this.bytes('float32', shape, new Uint8Array(Float32Array.from(values).buffer));
  }

  private integers(values: readonly number[], shape: readonly number[] = [values.length]): string {
    return this.bytes('int64', shape, new Uint8Array(BigInt64Array.from(values, BigInt).buffer));
  }

  private shape(sizes: readonly number[]): string {
    return this.integers(sizes);
  }

  private bytes(type: OnnxType, shape: readonly number[], bytes: Uint8Array): string {
    const name = `c${this.initializers.length}`;
    this.initializers.push({ name, type, shape, bytes });
    return name;
  }

  private toFloat32(name: string): string {
    return this.options.type === 'float32' ? name : this.node('Cast', [name], { to: { int: 1 } });
  }

  private fromFloat32(name: string): string {
    return this.options.type === 'float32' ? name : this.node('Cast', [name], { to: { int: 10 } });
  }
}
