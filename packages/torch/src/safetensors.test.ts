import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ITEM_SIZES,
  readSafetensorsHeader,
  SafetensorsFile,
  writeSafetensors,
  type SafetensorsDtype,
  type SafetensorsSource,
} from './safetensors.js';

const PYTHON_FILE =
  'wAAAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJrIjoiw6kifSwiZSI6eyJkdHlwZSI6IkY2NCIsInNoYXBlIjpbMCwzXSwiZGF0YV9v' +
  'ZmZzZXRzIjpbMCwwXX0sInciOnsiZHR5cGUiOiJJMTYiLCJzaGFwZSI6WzEsMl0sImRhdGFfb2Zmc2V0cyI6WzAsNF19LCJiIjp7' +
  'ImR0eXBlIjoiQk9PTCIsInNoYXBlIjpbXSwiZGF0YV9vZmZzZXRzIjpbNCw1XX19ICABAP7/AQ==';

let folder: string;
let file: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'safetensors-'));
  file = path.join(folder, 'a.safetensors');
});
afterEach(() => {
  fs.rmSync(folder, { recursive: true, force: true });
});

/** A file with this header text and this many bytes of data, whatever the header says. */
function forge(header: string | Uint8Array, dataBytes = 0, claimed?: bigint): string {
  const json = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed ?? BigInt(json.length));
  fs.writeFileSync(file, Buffer.concat([length, json, Buffer.alloc(dataBytes)]));
  return file;
}

function entry(shape: unknown, offsets: unknown, dtype: unknown = 'U8'): string {
  return JSON.stringify({ dtype, shape, data_offsets: offsets });
}

/** The message of refusal; checks that it is one sentence with the file's name and short enough to read. */
function refusal(action: () => unknown = () => readSafetensorsHeader(file)): string {
  let message = '';
  try {
    action();
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message).toContain(file);
  expect(message).not.toContain('\n');
  expect(message.length).toBeLessThan(file.length + 350);
  return message;
}

describe('writing and reading', () => {
  const dtypes = Object.keys(ITEM_SIZES) as SafetensorsDtype[];
  const tensor = fc
    .tuple(
      fc.constantFrom(...dtypes),
      fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
      fc.infiniteStream(fc.nat(255)),
    )
    .map(([dtype, shape, stream]) => {
      const bytes = shape.reduce((a, b) => a * b, ITEM_SIZES[dtype]);
      const data = Uint8Array.from({ length: bytes }, () => stream.next().value as number);
      return { dtype, shape, data: dtype === 'BOOL' ? data.map((byte) => byte & 1) : data };
    });
  const names = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom('__proto__', 'constructor', '1', '0', '', 'layer1.0.bn1.running_mean', 'a"\\\n{[:'),
  );
  const contents = fc.uniqueArray(fc.record({ name: names, tensor }), { selector: (item) => item.name, maxLength: 8 });
  const texts = fc.dictionary(
    fc.string().filter((key) => key !== '__proto__'),
    fc.string(),
    { maxKeys: 3, noNullPrototype: true },
  );

  it('returns every tensor, its order, shape, dtype and the metadata', () => {
    fc.assert(
      fc.property(contents, texts, (items, metadata) => {
        const sources = items.map(({ name, tensor: { dtype, shape, data } }) => ({ name, dtype, shape, data }));
        writeSafetensors(file, sources, metadata);
        using opened = SafetensorsFile.open(file);
        expect([...opened.entries.keys()]).toEqual(sources.map((source) => source.name));
        expect(Object.fromEntries(opened.metadata)).toEqual(metadata);
        for (const { name, dtype, shape, data } of sources) {
          const found = opened.entries.get(name)!;
          expect({ dtype: found.dtype, shape: found.shape }).toEqual({ dtype, shape });
          expect(found.begin % ITEM_SIZES[dtype]).toBe(0);
          const into = new Uint8Array(data.length);
          opened.read(name, into);
          expect(into).toEqual(data);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('writes the bytes that the format prescribes', () => {
    writeSafetensors(
      file,
      [
        { name: 'b', dtype: 'BOOL', shape: [2], data: Uint8Array.of(1, 0) },
        { name: 'w', dtype: 'F32', shape: [1, 1], data: () => new Uint8Array(Float32Array.of(1.5).buffer) },
      ],
      { format: 'pt' },
    );
    const header =
      '{"__metadata__":{"format":"pt"},"b":{"dtype":"BOOL","shape":[2],"data_offsets":[4,6]},' +
      '"w":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}';
    const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
    const written = fs.readFileSync(file);
    expect(written.readBigUInt64LE(0)).toBe(BigInt(padded.length));
    expect(written.toString('utf8', 8, 8 + padded.length)).toBe(padded);
    expect([...written.subarray(8 + padded.length)]).toEqual([0, 0, 0xc0, 0x3f, 1, 0]);
  });

  it('reads what Python writes', async () => {
    // safetensors.numpy.save({"w": [[1, -2]] int16, "b": True, "e": empty (0, 3) float64}, metadata={"k": "é"}), version 0.8.0
    const bytes = Buffer.from(PYTHON_FILE, 'base64');
    fs.writeFileSync(file, bytes);
    using opened = SafetensorsFile.open(file);
    expect(opened.metadata.get('k')).toBe('é');
    expect(opened.entries.get('e')).toMatchObject({ dtype: 'F64', shape: [0, 3] });
    const w = new Int16Array(2);
    await opened.readAsync('w', new Uint8Array(w.buffer));
    expect([...w]).toEqual([1, -2]);
    const b = new Uint8Array(1);
    opened.read('b', b);
    expect([...b]).toEqual([1]);
  });

  it('streams a tensor larger than one chunk, blocking or not', async () => {
    const data = new Uint8Array(17 * 2 ** 20 + 5).map((_, i) => (i * 2654435761) >>> 24);
    writeSafetensors(file, [{ name: 'x', dtype: 'U8', shape: [data.length], data }]);
    using opened = SafetensorsFile.open(file);
    const blocking = new Uint8Array(data.length);
    opened.read('x', blocking);
    expect(Buffer.compare(blocking, data)).toBe(0);
    const waiting = new Uint8Array(data.length);
    await opened.readAsync('x', waiting);
    expect(Buffer.compare(waiting, data)).toBe(0);
  });

  it('refuses a wrong name, a wrong buffer and a closed file', () => {
    writeSafetensors(file, [{ name: 'x', dtype: 'U8', shape: [3], data: new Uint8Array(3) }]);
    const opened = SafetensorsFile.open(file);
    expect(() => {
      opened.read('constructor', new Uint8Array(3));
    }).toThrow(/holds no tensor "constructor"/);
    expect(() => {
      opened.read('x', new Uint8Array(4));
    }).toThrow(/a buffer of 3 bytes for tensor "x", found one of 4/);
    opened.close();
    opened.close();
    expect(() => {
      opened.read('x', new Uint8Array(3));
    }).toThrow(/is closed/);
  });
});

describe('a failed write', () => {
  const good: SafetensorsSource = { name: 'x', dtype: 'U8', shape: [1], data: Uint8Array.of(7) };

  it('leaves the old file and nothing else', () => {
    writeSafetensors(file, [good]);
    const before = fs.readFileSync(file);
    const failing: SafetensorsSource = {
      ...good,
      name: 'y',
      data: () => {
        throw new Error('device lost');
      },
    };
    expect(() => {
      writeSafetensors(file, [good, failing]);
    }).toThrow(/Cannot write .*device lost/);
    expect(() => {
      writeSafetensors(file, [good, { ...good, name: 'y', shape: [2] }]);
    }).toThrow(/expected 2 bytes for tensor "y", U8 \[2\], found 1/);
    expect(fs.readFileSync(file)).toEqual(before);
    expect(fs.readdirSync(folder)).toEqual(['a.safetensors']);
  });

  it('refuses what no reader would accept, before it touches the disk', () => {
    const write = (sources: SafetensorsSource[]) => () => {
      writeSafetensors(file, sources);
    };
    expect(write([good, good])).toThrow(/once each/);
    expect(write([{ ...good, name: '__metadata__' }])).toThrow(/not __metadata__/);
    expect(write([{ ...good, name: '\ud800' }])).toThrow(/valid Unicode/);
    expect(write([{ ...good, dtype: 'toString' as 'U8' }])).toThrow(/expected a dtype/);
    expect(write([{ ...good, shape: [-1] }])).toThrow(/non-negative/);
    expect(fs.readdirSync(folder)).toEqual([]);
  });
});

describe('a hostile file', () => {
  it('is refused for its header length, without a buffer of that size', () => {
    const before = process.memoryUsage().arrayBuffers;
    for (const claimed of [2n ** 64n - 1n, 2n ** 53n, 100_000_001n, 3n]) {
      forge('{}', 0, claimed);
      expect(refusal()).toMatch(/expected a header of at most 2 bytes, found a claimed length of/);
    }
    fs.writeFileSync(file, '{}');
    expect(refusal()).toMatch(/expected at least 8 bytes, found 2/);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  });

  it('is refused for a long header even in a file that is as long', () => {
    forge('{}', 0, 100_000_001n);
    fs.truncateSync(file, 200_000_000);
    expect(refusal()).toMatch(/expected a header of at most 100000000 bytes/);
  });

  it.each([
    ['no JSON', 'hello', /expected a JSON object as header/],
    ['JSON cut short', '{"a":{"dtype":"U8"', /expected a JSON object as header/],
    ['an unfinished text', '{"a', /expected a JSON object as header/],
    ['a key without quotation marks', '{a:1}', /expected a tensor's name in quotation marks/],
    ['a leading blank', ' {}', /expected a JSON object as header/],
    ['an array', '[]', /another nesting/],
    ['deep nesting', `{"a":{"shape":[${'['.repeat(1e5)}`, /another nesting/],
    ['a tensor that is a number', '{"a":1}', /tensor "a": expected an object, found 1/],
    ['metadata that is no text', '{"__metadata__":{"a":1}}', /__metadata__ to hold texts only, found 1 under "a"/],
    ['metadata that is no object', '{"__metadata__":"a"}', /__metadata__ to be an object of texts/],
  ])('is refused for %s', (_, header, message) => {
    forge(header);
    expect(refusal()).toMatch(message);
  });

  it('is refused for text that is no UTF-8', () => {
    forge(Uint8Array.of(0x7b, 0xff, 0x7d));
    expect(refusal()).toMatch(/UTF-8/);
  });

  it.each([
    ['an unknown dtype', entry([1], [0, 1], 'F8_E4M3'), /expected a dtype of BOOL, .*found "F8_E4M3"/],
    ['a dtype of Object.prototype', entry([1], [0, 1], 'toString'), /expected a dtype of .*found "toString"/],
    ['a dtype that is no text', entry([1], [0, 1], 1), /expected a dtype of/],
    ['no shape', entry(undefined, [0, 1]), /expected a shape of numbers, found nothing/],
    ['a shape of texts', entry(['1'], [0, 1]), /expected a shape of numbers/],
    ['a negative shape', entry([-1, -1], [0, 1]), /non-negative integers, found -1/],
    ['a fractional shape', entry([0.5, 2], [0, 1]), /non-negative integers, found 0.5/],
    ['a shape beyond 2^53', '{"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,1]}', /non-negative integers/],
    ['an infinite shape', '{"dtype":"U8","shape":[1e999],"data_offsets":[0,1]}', /non-negative integers/],
    ['a shape whose product wraps to 1 in 64 bits', entry([4294967297, 4294967297], [0, 1]), /fewer than 2\^53 bytes/],
    ['a shape that overflows behind a zero', entry([0, 2 ** 40, 2 ** 40], [0, 0]), /fewer than 2\^53 bytes/],
    ['too many dimensions', entry(new Array(65).fill(1), [0, 1]), /at most 64 dimensions, found 65/],
    [
      'a shape larger than its bytes',
      entry([1000], [0, 1]),
      /expected 1000 bytes for U8 \[1000\], found data_offsets for 1/,
    ],
    ['a huge shape', entry([2 ** 50], [0, 1]), /expected 1125899906842624 bytes/],
    ['offsets beyond the file', entry([2], [0, 2]), /inside the file's 1 bytes of data, found \[0,2\]/],
    ['offsets in reverse', entry([1], [1, 0]), /expected data_offsets/],
    ['negative offsets', entry([1], [-1, 0]), /expected data_offsets/],
    ['one offset', entry([1], [0]), /expected data_offsets/],
    ['fractional offsets', entry([1], [0, 0.5]), /expected data_offsets/],
  ])('is refused for %s', (_, tensor, message) => {
    forge(`{"x":${tensor}}`, 1);
    expect(refusal()).toMatch(message);
  });

  it('is refused for tensors that overlap, leave a hole, or leave bytes at the end', () => {
    forge(`{"a":${entry([2], [0, 2])},"b":${entry([2], [1, 3])}}`, 3);
    expect(refusal()).toMatch(/found an overlap before "b" \(byte 1/);
    forge(`{"a":${entry([2], [0, 2])},"b":${entry([2], [0, 2])}}`, 2);
    expect(refusal()).toMatch(/found an overlap before "b"/);
    forge(`{"b":${entry([1], [2, 3])},"a":${entry([1], [0, 1])}}`, 3);
    expect(refusal()).toMatch(/found a hole before "b" \(byte 2/);
    forge(`{"a":${entry([2], [0, 2])}}`, 3);
    expect(refusal()).toMatch(/expected 2 bytes of data as the header says, found 3/);
  });

  it('is refused for a name given twice, however it is spelt', () => {
    forge(`{"a":${entry([1], [0, 1])},"\\u0061":${entry([1], [1, 2])}}`, 2);
    expect(refusal()).toMatch(/expected every tensor once, found "a" twice/);
    forge(`{"__proto__":${entry([1], [0, 1])},"__proto__":${entry([1], [0, 1])}}`, 1);
    expect(refusal()).toMatch(/"__proto__" twice/);
  });

  it('with a name of Object.prototype is read like any other, and changes no prototype', () => {
    forge(`{"__proto__":${entry([1], [0, 1])},"hasOwnProperty":${entry([], [1, 2])}}`, 2);
    const { entries } = readSafetensorsHeader(file);
    expect([...entries.keys()]).toEqual(['__proto__', 'hasOwnProperty']);
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
    expect('dtype' in {}).toBe(false);
  });

  it('cut short by any number of bytes is refused', () => {
    writeSafetensors(file, [{ name: 'x', dtype: 'F32', shape: [3], data: new Uint8Array(12) }]);
    const whole = fs.readFileSync(file);
    for (let length = 0; length < whole.length; length++) {
      fs.writeFileSync(file, whole.subarray(0, length));
      refusal();
    }
  });

  it('that shrinks while it is open is noticed', () => {
    writeSafetensors(file, [{ name: 'x', dtype: 'U8', shape: [8], data: new Uint8Array(8) }]);
    using opened = SafetensorsFile.open(file);
    fs.truncateSync(file, fs.statSync(file).size - 3);
    expect(
      refusal(() => {
        opened.read('x', new Uint8Array(8));
      }),
    ).toMatch(/ends early/);
  });

  it('with booleans that are neither 0 nor 1 is refused when they are read', () => {
    forge(`{"x":${entry([2], [0, 2], 'BOOL')}}`, 2);
    const bytes = fs.readFileSync(file);
    bytes[bytes.length - 1] = 2;
    fs.writeFileSync(file, bytes);
    using opened = SafetensorsFile.open(file);
    expect(
      refusal(() => {
        opened.read('x', new Uint8Array(2));
      }),
    ).toMatch(/expected BOOL bytes 0 or 1, found 2/);
  });

  it('that is missing, a folder or a device is refused by name', () => {
    expect(refusal()).toMatch(/Cannot open .*ENOENT/);
    expect(() => SafetensorsFile.open(folder)).toThrow(/expected a regular file/);
    expect(() => SafetensorsFile.open('/dev/zero')).toThrow(/expected a regular file/);
  });

  it('made of random damage to a good header is refused or read, never anything else', () => {
    writeSafetensors(file, [
      { name: 'x', dtype: 'I16', shape: [2, 2], data: new Uint8Array(8) },
      { name: 'y', dtype: 'U8', shape: [3], data: new Uint8Array(3) },
    ]);
    const whole = fs.readFileSync(file);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (position, byte) => {
        const damaged = Buffer.from(whole);
        damaged[position] = byte;
        fs.writeFileSync(file, damaged);
        let opened: SafetensorsFile | undefined;
        try {
          opened = SafetensorsFile.open(file);
        } catch (error) {
          expect((error as Error).message).toMatch(/is no valid safetensors file: .*expected /);
          return;
        }
        using closing = opened;
        for (const { name, begin, end } of closing.entries.values()) closing.read(name, new Uint8Array(end - begin));
      }),
      { numRuns: 300 },
    );
  });
});
