import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { memoryStats } from '../runtime.js';
import { loadStateFile, loadTorchCheckpoint } from '../tensor-file.js';
import type { Tensor } from '../tensor.js';

let folder: string;
let before: ReturnType<typeof memoryStats>;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'aaunet-checkpoint-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  before = memoryStats();
});
afterEach(() => {
  expect(memoryStats()).toEqual(before);
});

// A writer of the format, apart from the reader: pickle operations as PyTorch writes them (protocol 2), and a zip archive.
const int = (value: number): Buffer => {
  const bytes = Buffer.from([0x4a, 0, 0, 0, 0]);
  bytes.writeInt32LE(value, 1);
  return bytes;
};
const str = (value: string): Buffer => {
  const text = Buffer.from(value);
  const head = Buffer.from([0x58, 0, 0, 0, 0]);
  head.writeUInt32LE(text.length, 1);
  return Buffer.concat([head, text]);
};
const ops = (...parts: (string | Buffer)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));
const tuple = (...items: Buffer[]): Buffer => ops('(', ...items, 't');
const importOf = (module: string, name: string): string => `c${module}\n${name}\n`;
const pickle = (...parts: (string | Buffer)[]): Buffer => ops('\x80\x02', ...parts, '.');

interface TensorSpec {
  key?: string;
  type?: string;
  count: number;
  offset?: number;
  size: number[];
  stride: number[];
}

const tensorOf = ({ key = '0', type = 'FloatStorage', count, offset = 0, size, stride }: TensorSpec): Buffer =>
  ops(
    importOf('torch._utils', '_rebuild_tensor_v2'),
    tuple(
      ops(tuple(str('storage'), ops(importOf('torch', type)), str(key), str('cpu'), int(count)), 'Q'),
      int(offset),
      tuple(...size.map(int)),
      tuple(...stride.map(int)),
      ops('\x89'),
      ops(importOf('collections', 'OrderedDict'), ')R'),
    ),
    'R',
  );

const dictOf = (entries: Record<string, Buffer>): Buffer =>
  ops(
    importOf('collections', 'OrderedDict'),
    ')R(',
    ...Object.entries(entries).flatMap(([name, value]) => [str(name), value]),
    'u',
    // A state dict's attributes.
    '}(',
    str('_metadata'),
    importOf('collections', 'OrderedDict'),
    ')R',
    'ub',
  );

interface ZipFile {
  name: string;
  data: Buffer;
  method?: number;
  claimed?: number;
  at?: number;
}

function zip(files: readonly ZipFile[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let position = 0;
  for (const { name, data, method = 0, claimed = data.length, at } of files) {
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(method, 10);
    central.writeUInt32LE(claimed, 20);
    central.writeUInt32LE(claimed, 24);
    central.writeUInt16LE(name.length, 28);
    central.writeUInt32LE(at ?? position, 42);
    parts.push(local, Buffer.from(name), data);
    directory.push(central, Buffer.from(name));
    position += 30 + name.length + data.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(position, 16);
  return Buffer.concat([...parts, ...directory, end]);
}

const floats = (...values: number[]): Buffer => Buffer.from(new Float32Array(values).buffer);
const archive = (root: Buffer, storages: Record<string, Buffer>, extra: ZipFile[] = []): Buffer =>
  zip([
    { name: 'weights/data.pkl', data: root },
    { name: 'weights/byteorder', data: Buffer.from('little') },
    ...Object.entries(storages).map(([key, data]) => ({ name: `weights/data/${key}`, data })),
    ...extra,
  ]);

const write = (bytes: Buffer, name = 'weights.pth'): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};

/** Values and shapes by name; the tensors are freed. */
const valuesOf = (path: string): Record<string, { shape: readonly number[]; values: number[] }> =>
  Object.fromEntries(
    [...loadTorchCheckpoint(path)].map(([name, tensor]: [string, Tensor]) => {
      const read = { shape: tensor.shape, values: tensor.toArray() };
      tensor.dispose();
      return [name, read];
    }),
  );

const refusal = (bytes: Buffer): string => {
  const path = write(bytes);
  try {
    valuesOf(path);
  } catch (error) {
    const { message } = error as Error;
    expect(message.startsWith(path)).toBe(true);
    // One sentence: no line break, one full stop.
    expect(message).toMatch(/^[^\n]*[^.]\.$/);
    return message.slice(path.length);
  }
  throw new Error('It was read.');
};

const small = { count: 6, size: [2, 3], stride: [3, 1] };
const six = { '0': floats(1, 2, 3, 4, 5, 6) };

describe('loadTorchCheckpoint', () => {
  it('reads tensors by name, in their order and shape', () => {
    const root = pickle(
      dictOf({
        weight: tensorOf(small),
        count: tensorOf({ key: '1', type: 'LongStorage', count: 1, size: [], stride: [] }),
        half: tensorOf({ key: '2', type: 'BFloat16Storage', count: 2, size: [2], stride: [1] }),
        none: tensorOf({ key: '3', count: 0, size: [0], stride: [1] }),
      }),
    );
    const storages = {
      ...six,
      '1': Buffer.from(new BigInt64Array([-7n]).buffer),
      '2': Buffer.from(new Uint16Array([0x3f80, 0xc000]).buffer),
      '3': Buffer.alloc(0),
    };
    const read = valuesOf(write(archive(root, storages)));
    expect(read).toEqual({
      weight: { shape: [2, 3], values: [1, 2, 3, 4, 5, 6] },
      count: { shape: [], values: [-7] },
      half: { shape: [2], values: [1, -2] },
      none: { shape: [0], values: [] },
    });
    expect(Object.keys(read)).toEqual(['weight', 'count', 'half', 'none']);
  });

  it('reads views: transposed, and several of one storage', () => {
    const root = pickle(
      dictOf({
        transposed: tensorOf({ count: 6, size: [3, 2], stride: [1, 3] }),
        tail: tensorOf({ count: 6, offset: 4, size: [2], stride: [1] }),
      }),
    );
    expect(valuesOf(write(archive(root, six)))).toEqual({
      transposed: { shape: [3, 2], values: [1, 4, 2, 5, 3, 6] },
      tail: { shape: [2], values: [5, 6] },
    });
  });

  it.each(['state_dict', 'model'])('finds the weights that a training script kept under %s', (key) => {
    const root = pickle('}(', str('epoch'), int(3), str(key), dictOf({ w: tensorOf(small) }), 'u');
    expect(Object.keys(valuesOf(write(archive(root, six))))).toEqual(['w']);
  });

  it('reads parameters as tensors', () => {
    const parameter = ops(
      importOf('torch._utils', '_rebuild_parameter'),
      tuple(tensorOf(small), ops('\x88'), ops(importOf('collections', 'OrderedDict'), ')R')),
      'R',
    );
    expect(valuesOf(write(archive(pickle(dictOf({ w: parameter })), six)))['w']?.shape).toEqual([2, 3]);
  });

  it.each([
    ['posix', 'system'],
    ['builtins', 'eval'],
    ['torch.hub', 'load'],
    ['torch', 'load'],
    ['collections', 'defaultdict'],
  ])('refuses a pickle that imports %s.%s, by name', (module, name) => {
    const call = pickle(importOf(module, name), tuple(str('touch /tmp/aaunet-was-here')), 'R');
    expect(refusal(archive(call, {}))).toContain(`it wants to import "${module}.${name}"`);
    const onStack = ops('\x80\x04', str(module), str(name), '\x93', '.');
    expect(refusal(archive(onStack, {}))).toContain(`it wants to import "${module}.${name}"`);
  });

  it('calls nothing but what makes tensors', () => {
    expect(refusal(archive(pickle(importOf('torch', 'FloatStorage'), ')R'), {}))).toContain(
      'it wants to call torch.FloatStorage',
    );
    expect(refusal(archive(pickle(str('print'), ')R'), {}))).toContain('it wants to call what is no function');
  });

  it.each<[string, Buffer, string]>([
    ['beyond its storage', tensorOf({ ...small, offset: 1 }), 'reaches beyond the 6 elements'],
    ['of huge strides', tensorOf({ ...small, stride: [2 ** 30, 1] }), 'reaches beyond the 6 elements'],
    ['of negative size', tensorOf({ ...small, size: [-2, 3] }), 'without storage, offset, size and stride'],
    ['at a negative offset', tensorOf({ ...small, offset: -1 }), 'without storage, offset, size and stride'],
    ['that repeats elements', tensorOf({ ...small, size: [2 ** 30, 2 ** 30], stride: [0, 0] }), 'repeats elements'],
    ['of too few strides', tensorOf({ ...small, stride: [1] }), '2 sizes and 1 strides'],
    ['of another storage size', tensorOf({ ...small, count: 2 ** 30 }), 'has 24 bytes, expected 4294967296'],
    ['of a missing storage', tensorOf({ ...small, key: '../../etc/passwd' }), 'is missing'],
    ['of no storage type', tensorOf({ ...small, type: 'Tensor' }), '"torch.Tensor"'],
  ])('refuses a tensor %s before anything is allocated', (_, tensor, message) => {
    expect(refusal(archive(pickle(dictOf({ w: tensor })), six))).toContain(message);
  });

  it.each<[string, Buffer, string]>([
    ['an unknown operation', pickle('\xff'), 'unknown pickle operation 0xff'],
    ['a string longer than itself', pickle('X\xff\xff\xff\x7fabc'), 'its pickle ends within 2147483647 bytes'],
    ['an empty stack', pickle(''), 'takes more from the stack'],
    ['a value it never stored', pickle('h\x05'), 'recalls value 5'],
    ['no mark', pickle('t'), 'lacks a mark'],
    ['a newer protocol', ops('\x80\x09.'), 'protocol 9'],
    ['no dictionary', pickle(str('hello')), 'holds no dictionary of tensors'],
    ['no tensor', pickle('}'), 'no tensor in its dictionary'],
  ])('refuses a pickle with %s', (_, root, message) => {
    expect(refusal(archive(root, {}))).toContain(message);
  });

  it('refuses bombs: compressed files, files larger than the archive, files on top of each other, tensors many times over', () => {
    const data = Buffer.alloc(100_000);
    const root = { name: 'weights/data.pkl', data: pickle(dictOf({ w: tensorOf(small) })) };
    const refused = (file: ZipFile, ...more: ZipFile[]): string => refusal(zip([root, file, ...more]));
    expect(refused({ name: 'weights/data/0', data, method: 8 })).toContain('is compressed');
    expect(refused({ name: 'weights/data/0', data, claimed: 2 ** 31 })).toContain('reaches behind its end');
    expect(refused({ name: 'weights/data/0', data }, { name: 'weights/data/1', data, at: 2 ** 30 })).toContain(
      'begins behind its end',
    );
    const first = 30 + root.name.length + root.data.length;
    const overlapping = [1, 2, 3].map((i) => ({
      name: `weights/data/${i}`,
      data: Buffer.alloc(0),
      claimed: 90_000,
      at: first,
    }));
    expect(refused({ name: 'weights/data/0', data }, ...overlapping)).toContain('larger than the archive');
    expect(refused({ name: 'weights/data/0', data }, { name: 'weights/data/0', data })).toContain('holds two files');
    const views = Object.fromEntries(
      Array.from({ length: 50 }, (_, i) => [`w${i}`, tensorOf({ count: 25_000, size: [25_000], stride: [1] })]),
    );
    expect(refusal(archive(pickle(dictOf(views)), { '0': data }))).toContain('its tensors are 5000000 bytes');
  });

  it('says what to do with files that PyTorch writes in other forms', () => {
    const good = pickle(dictOf({ w: tensorOf(small) }));
    expect(refusal(Buffer.from('\x80\x02\x8a\x0al\xfc\x9c', 'latin1'))).toContain('PyTorch before 1.6');
    expect(refusal(archive(good, six, [{ name: 'weights/constants.pkl', data: good }]))).toContain('TorchScript');
    expect(refusal(zip([{ name: 'readme.txt', data: good }]))).toContain('0 files data.pkl');
    expect(refusal(Buffer.from('hello, world'))).toContain('no zip archive');
    expect(refusal(Buffer.alloc(0))).toContain('no zip archive');
    const big = { name: 'a/byteorder', data: Buffer.from('big') };
    expect(refusal(zip([{ name: 'a/data.pkl', data: good }, big]))).toContain('not little-endian');
  });

  it('refuses a file cut off anywhere', () => {
    const bytes = archive(pickle(dictOf({ w: tensorOf(small) })), six);
    for (let length = 0; length < bytes.length; length++) refusal(bytes.subarray(0, length));
  });

  it('reads a damaged file or refuses it in one sentence', () => {
    const bytes = archive(
      pickle(dictOf({ w: tensorOf(small), v: tensorOf({ ...small, size: [6], stride: [1] }) })),
      six,
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const damaged = Buffer.from(bytes);
          for (const [at, value] of changes) damaged[at] = value;
          const path = write(damaged);
          try {
            valuesOf(path);
          } catch (error) {
            expect((error as Error).message).toMatch(new RegExp(`^${path} is not a PyTorch checkpoint [^\n]*\\.$`));
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('loadStateFile', () => {
  it('goes by the kind of the file', () => {
    const path = write(archive(pickle(dictOf({ w: tensorOf(small) })), six), 'weights.PT');
    for (const tensor of loadStateFile(path).values()) {
      expect(tensor.shape).toEqual([2, 3]);
      tensor.dispose();
    }
    expect(() => loadStateFile('weights.h5')).toThrow(
      'Expected weights in a .safetensors, .pth, .pt file, got weights.h5.',
    );
    expect(() => loadStateFile(join(folder, 'none.pth'))).toThrow(/^Cannot open the checkpoint .*none\.pth: ENOENT/);
  });
});
