/** Bytes of a protobuf field: text and messages with their length, whole numbers as varints. */
function field(number: number, value: string | number | Uint8Array): number[] {
  if (typeof value === 'number') return [...varint(number * 8), ...varint(value)];
  const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
  return [...varint(number * 8 + 2), ...varint(bytes.length), ...bytes];
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

const message = (...fields: number[][]): Uint8Array => Uint8Array.from(fields.flat());
const FLOAT = 1;

const tensor = (name: string, dims: readonly number[], values: Float32Array): Uint8Array =>
  message(
    ...dims.map((size) => field(1, size)),
    field(2, FLOAT),
    field(8, name),
    field(9, new Uint8Array(values.buffer)),
  );

const valueInfo = (name: string, dims: readonly (number | string)[]): Uint8Array =>
  message(
    field(1, name),
    field(
      2,
      message(
        field(
          1,
          message(
            field(1, FLOAT),
            field(
              2,
              message(
                ...dims.map((size) => field(1, message(typeof size === 'number' ? field(1, size) : field(2, size)))),
              ),
            ),
          ),
        ),
      ),
    ),
  );

/** A network of one 1x1 convolution as an ONNX file with metadata: small, and known by its weights. */
export function pointwiseOnnx(
  weight: Float32Array,
  bias: Float32Array,
  shape: { readonly size: number; readonly batch?: number | undefined },
  metadata: object,
): Uint8Array {
  const { size, batch = 'batch' } = shape;
  const node = message(
    ...['image', 'weight', 'bias'].map((name) => field(1, name)),
    field(2, 'logits'),
    field(4, 'Conv'),
  );
  const graph = message(
    field(1, node),
    field(2, 'pointwise'),
    field(5, tensor('weight', [8, 3, 1, 1], weight)),
    field(5, tensor('bias', [8], bias)),
    field(11, valueInfo('image', [batch, 3, size, size])),
    field(12, valueInfo('logits', [batch, 8, size, size])),
  );
  return message(
    field(1, 8),
    field(7, graph),
    field(8, message(field(1, ''), field(2, 17))),
    field(14, message(field(1, 'aaunet'), field(2, JSON.stringify(metadata)))),
  );
}
