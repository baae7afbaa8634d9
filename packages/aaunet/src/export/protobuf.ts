/** Protocol buffers' wire format, as far as ONNX needs it: https://protobuf.dev/programming-guides/encoding/. */

/** A message is its fields' bytes in order; they are joined once, at the end, as weights are large. */
export type Message = readonly Uint8Array[];

const encoder = new TextEncoder();

function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = [];
  // Negative numbers as 64 bits in two's complement.
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 128 : low);
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}

const tag = (field: number, wireType: number): Uint8Array => varint(field * 8 + wireType);

export function byteLength(message: Message): number {
  return message.reduce((sum, { length }) => sum + length, 0);
}

export function integerField(field: number, value: number): Message {
  return [tag(field, 0), varint(value)];
}

export function floatField(field: number, value: number): Message {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return [tag(field, 5), bytes];
}

export function bytesField(field: number, bytes: Uint8Array): Message {
  return [tag(field, 2), varint(bytes.length), bytes];
}

export function textField(field: number, text: string): Message {
  return bytesField(field, encoder.encode(text));
}

export function messageField(field: number, message: Message): Message {
  return [tag(field, 2), varint(byteLength(message)), ...message];
}

/** The length-delimited fields of a message (texts, bytes, messages); the others are passed over. */
export function* delimitedFields(bytes: Uint8Array): Generator<{ field: number; value: Uint8Array }> {
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; shift < 63; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) break;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    throw new RangeError('not a protocol buffer');
  };
  while (at < bytes.length) {
    const key = number();
    const wireType = key % 8;
    if (wireType === 0) number();
    else if (wireType === 1) at += 8;
    else if (wireType === 5) at += 4;
    else if (wireType === 2) {
      const length = number();
      if (at + length > bytes.length) throw new RangeError('not a protocol buffer');
      yield { field: Math.floor(key / 8), value: bytes.subarray(at, at + length) };
      at += length;
    } else throw new RangeError('not a protocol buffer');
  }
}
