import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { aten } from './operators.js';
import { memoryStats } from './runtime.js';
import { SafetensorsFile } from './safetensors.js';
import { loadTensors, saveTensors } from './tensor-file.js';
import { arange, tensor, zeros } from './create.js';
import type { Dtype, Tensor } from './tensor.js';

let folder: string;
let file: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tensor-file-'));
  file = path.join(folder, 'a.safetensors');
});
afterEach(() => {
  fs.rmSync(folder, { recursive: true, force: true });
});

const DTYPES: Dtype[] = [
  ...(['bool', 'uint8', 'int8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64'] as const),
  ...(['float16', 'bfloat16', 'float32', 'float64'] as const),
];

function release(tensors: Iterable<Tensor>): void {
  for (const each of tensors) each.dispose();
}

it('every dtype comes back bit by bit, in order, with the metadata', () => {
  const before = memoryStats();
  const saved = new Map(DTYPES.map((dtype) => [`x.${dtype}`, tensor([[0, 1, 1]], { dtype })]));
  saved.set('scalar', tensor(2.5));
  saved.set('empty', zeros([0, 3]));
  saveTensors(file, saved, { note: 'é' });
  const { tensors, metadata } = loadTensors(file);
  expect(metadata).toEqual({ note: 'é' });
  expect(new Set(tensors.keys())).toEqual(new Set(saved.keys()));
  for (const [name, expected] of saved) {
    const found = tensors.get(name)!;
    expect([name, found.dtype, found.shape, found.toArray()]).toEqual([
      name,
      expected.dtype,
      expected.shape,
      expected.toArray(),
    ]);
  }
  release([...saved.values(), ...tensors.values()]);
  expect(memoryStats()).toEqual(before);
});

it('saves views and channels-last tensors row by row, and parameters without their graph', () => {
  using image = arange(12).reshape(1, 2, 2, 3);
  using last = image.to({ memoryFormat: 'channels_last', dtype: 'float32' });
  using turned = image.transpose(2, 3);
  last.requiresGrad = true;
  saveTensors(
    file,
    new Map([
      ['last', last],
      ['turned', turned],
    ]),
  );
  const { tensors } = loadTensors(file);
  expect(tensors.get('last')!.toArray()).toEqual(Array.from({ length: 12 }, (_, i) => i));
  expect(tensors.get('turned')!.toArray()).toEqual(turned.toArray());
  expect(tensors.get('last')!.requiresGrad).toBe(false);
  using opened = SafetensorsFile.open(file);
  expect(opened.entries.get('turned')!.shape).toEqual([1, 2, 3, 2]);
  release(tensors.values());
});

it('refuses what the format cannot hold and leaves the file that was there', () => {
  using good = tensor([1]);
  saveTensors(file, new Map([['good', good]]));
  const bytes = fs.readFileSync(file);
  using complex = zeros([1], { dtype: 'complex64' });
  using meta = zeros([1], { device: 'meta' });
  using dense = zeros([2, 2]);
  using sparse = aten.to_sparse(dense);
  const disposed = zeros([1]);
  disposed.dispose();
  for (const bad of [complex, meta, sparse, disposed]) {
    expect(() => {
      saveTensors(
        file,
        new Map([
          ['good', good],
          ['bad', bad],
        ]),
      );
    }).toThrow();
    expect(fs.readFileSync(file)).toEqual(bytes);
    expect(fs.readdirSync(folder)).toEqual(['a.safetensors']);
  }
});

it('loads nothing from a broken file and leaves no tensor behind', () => {
  using a = tensor([1, 2]);
  saveTensors(file, new Map([['a', a]]));
  fs.truncateSync(file, fs.statSync(file).size - 1);
  const before = memoryStats();
  expect(() => loadTensors(file)).toThrow(file);
  expect(() => loadTensors(path.join(folder, 'none'))).toThrow('none');
  expect(memoryStats()).toEqual(before);
});

it('saving keeps no copy of tensors that lie otherwise than in the file', () => {
  // 16 MiB each, channels last.
  const saved = new Map(
    Array.from({ length: 8 }, (_, i) => {
      using plain = zeros([64, 64, 32, 32]);
      return [`weight${i}`, plain.add(i).contiguous('channels_last')] as const;
    }),
  );
  const before = process.memoryUsage().external;
  saveTensors(file, saved);
  expect((process.memoryUsage().external - before) / 2 ** 20).toBeLessThan(2 * 16);
  const { tensors } = loadTensors(file);
  for (const [i, [name, expected]] of [...saved].entries()) {
    using difference = tensors.get(name)!.sub(expected).abs().max();
    expect(difference.item(), name).toBe(0);
    expect(tensors.get(name)!.data('float32')[7], name).toBe(i);
  }
  release([...saved.values(), ...tensors.values()]);
});
