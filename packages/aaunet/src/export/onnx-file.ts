import { bytesField, byteLength, floatField, integerField, messageField, textField, type Message } from './protobuf.js';

/** Element types of onnx.proto's TensorProto.DataType. */
export const ONNX_TYPES = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float16: 10 } as const;
export type OnnxType = keyof typeof ONNX_TYPES;

export type Attribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly text: string };

export interface OnnxNode {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

export interface OnnxInitializer {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly number[];
  /** Little-endian, row-major. */
  readonly bytes: Uint8Array;
}

export interface OnnxValue {
  readonly name: string;
  readonly type: OnnxType;
  /** A text is the name of a dimension that may have any size. */
  readonly shape: readonly (number | string)[];
}

export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxInitializer[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

export interface OnnxDescription {
  readonly producer: string;
  readonly version: string;
  readonly description: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Versions that ONNX Runtime 1.20 and later and its web build read. */
const IR_VERSION = 10;
const OPSET = 21;

/** Protocol buffers end there; larger models would need their weights in files beside. */
const LIMIT = 2 ** 31 - 1;

function attribute(name: string, value: Attribute): Message {
  const named = textField(1, name);
  if ('int' in value) return [...named, ...integerField(3, value.int), ...integerField(20, 2)];
  if ('float' in value) return [...named, ...floatField(2, value.float), ...integerField(20, 1)];
  if ('text' in value) return [...named, ...textField(4, value.text), ...integerField(20, 3)];
  return [...named, ...value.ints.flatMap((item) => integerField(8, item)), ...integerField(20, 7)];
}

function node({ type, inputs, outputs, attributes = {} }: OnnxNode, index: number): Message {
  return [
    ...inputs.flatMap((name) => textField(1, name)),
    ...outputs.flatMap((name) => textField(2, name)),
    ...textField(3, `${type}_${index}`),
    ...textField(4, type),
    ...Object.entries(attributes).flatMap(([name, value]) => messageField(5, attribute(name, value))),
  ];
}

function initializer({ name, type, shape, bytes }: OnnxInitializer): Message {
  return [
    ...shape.flatMap((size) => integerField(1, size)),
    ...integerField(2, ONNX_TYPES[type]),
    ...textField(8, name),
    ...bytesField(9, bytes),
  ];
}

function value({ name, type, shape }: OnnxValue): Message {
  const dimensions = shape.flatMap((size) =>
    messageField(1, typeof size === 'number' ? integerField(1, size) : textField(2, size)),
  );
  const tensorType = [...integerField(1, ONNX_TYPES[type]), ...messageField(2, dimensions)];
  return [...textField(1, name), ...messageField(2, messageField(1, tensorType))];
}

/**
 * The bytes of an ONNX file (onnx.proto's ModelProto), to be written one after another.
 *
 * @throws Error if the file would pass 2 GB, which protocol buffers cannot be.
 */
export function encodeOnnx(graph: OnnxGraph, about: OnnxDescription): Message {
  const content: Message = [
    ...graph.nodes.flatMap((one, index) => messageField(1, node(one, index))),
    ...textField(2, graph.name),
    ...graph.initializers.flatMap((one) => messageField(5, initializer(one))),
    ...graph.inputs.flatMap((one) => messageField(11, value(one))),
    ...graph.outputs.flatMap((one) => messageField(12, value(one))),
  ];
  const file = [
    ...integerField(1, IR_VERSION),
    ...textField(2, about.producer),
    ...textField(3, about.version),
    ...textField(6, about.description),
    ...messageField(7, content),
    ...messageField(8, [...textField(1, ''), ...integerField(2, OPSET)]),
    ...Object.entries(about.metadata).flatMap(([key, text]) =>
      messageField(14, [...textField(1, key), ...textField(2, text)]),
    ),
  ];
  if (byteLength(file) > LIMIT) {
    throw new Error(
      `Expected a network of at most 2 GB, which is what an ONNX file can hold, found ${(byteLength(file) / 1e9).toFixed(1)} GB; export it in fp16 or choose a smaller network.`,
    );
  }
  return file;
}
