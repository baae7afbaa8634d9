import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { destinationOf, safeJoin, unpack } from './unpack.mjs';

/** A zip of stored files; `claim` overrides the size that the directory states. */
function zipOf(files) {
  const locals = [];
  const directory = [];
  let offset = 0;
  for (const { name, text, claim } of files) {
    const data = Buffer.from(text);
    const size = claim ?? data.length;
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt32LE(zlib.crc32(data), 10);
    fields.writeUInt32LE(claim === undefined ? data.length : size, 14);
    fields.writeUInt32LE(size, 18);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), fields, Buffer.from(name), data]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\x00', 'latin1'), fields, rest, Buffer.from(name));
    locals.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 0, 'latin1');
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, central, end]);
}

describe('what is unpacked', () => {
  it('is libraries and headers, from wheel and LibTorch zip to the same place', () => {
    expect(destinationOf('torch/lib/libtorch_cpu.so')).toBe('torch/lib/libtorch_cpu.so');
    expect(destinationOf('libtorch/lib/libgomp-98b21ff3.so.1')).toBe('torch/lib/libgomp-98b21ff3.so.1');
    expect(destinationOf('libtorch/include/ATen/ATen.h')).toBe('torch/include/ATen/ATen.h');
    expect(destinationOf('nvidia/cudnn/lib/libcudnn.so.9')).toBe('nvidia/cudnn/lib/libcudnn.so.9');
    expect(destinationOf('nvidia/cuda_runtime/include/cuda.h')).toBe('nvidia/cuda_runtime/include/cuda.h');
  });

  it('is nothing else', () => {
    const others = [
      'torch/__init__.py',
      'torch/lib/libtorch_python.so',
      'torch/lib/libshm/err.h',
      'torch/bin/protoc',
      'torch/include/',
      'torch/lib/../../evil.so',
      'torch//lib/libc10.so',
      '/torch/lib/libc10.so',
      'other/lib/libc10.so',
      'nvidia/__init__.py',
    ];
    expect(others.filter((name) => destinationOf(name) !== undefined)).toEqual([]);
  });
});

describe('safeJoin', () => {
  it('keeps names inside the folder', () => {
    expect(safeJoin('/x', 'torch/lib/a.so')).toBe('/x/torch/lib/a.so');
    expect(safeJoin('/x', '..a/b')).toBe('/x/..a/b');
    for (const name of ['../a', 'a/../../b', '/etc/passwd', '..', '.', 'a\\b', 'a\0b']) {
      expect(() => safeJoin('/x', name), name).toThrow(/outside its folder/);
    }
  });
});

describe('unpack', () => {
  let folder;
  const archive = (files) => {
    const file = path.join(folder, 'a.zip');
    fs.writeFileSync(file, zipOf(files));
    return file;
  };
  const out = () => path.join(folder, 'out');
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'unpack-'));
  });
  afterEach(() => {
    fs.rmSync(folder, { recursive: true, force: true });
  });

  it('writes the wanted files with their content', async () => {
    const file = archive([
      { name: 'torch/lib/libc10.so', text: 'library' },
      { name: 'torch/version.py', text: 'python' },
      { name: 'torch/include/a/b.h', text: 'header' },
    ]);
    expect(await unpack(file, out(), () => {})).toBe(2);
    expect(fs.readFileSync(path.join(out(), 'torch/lib/libc10.so'), 'utf8')).toBe('library');
    expect(fs.readFileSync(path.join(out(), 'torch/include/a/b.h'), 'utf8')).toBe('header');
    expect(fs.existsSync(path.join(out(), 'torch/version.py'))).toBe(false);
  });

  it('refuses an archive with a name that leaves the folder', async () => {
    for (const name of ['torch/include/../../../evil.h', '/torch/include/evil.h', 'torch\\include\\evil.h']) {
      await expect(
        unpack(archive([{ name, text: 'x' }]), out(), () => {}),
        name,
      ).rejects.toThrow();
    }
    expect(fs.existsSync(path.join(folder, 'evil.h'))).toBe(false);
  });

  it('refuses absurd sizes and counts before writing, and sizes that lie', async () => {
    const big = archive([{ name: 'torch/include/a.h', text: 'x', claim: 0xfffffff0 }]);
    await expect(unpack(big, out(), () => {}, { bytes: 1e9, entries: 10 })).rejects.toThrow(
      /unpacks to more than 1000 MB/,
    );
    expect(fs.existsSync(out())).toBe(false);
    const many = archive(Array.from({ length: 4 }, (_, i) => ({ name: `torch/include/${i}.h`, text: 'x' })));
    await expect(unpack(many, out(), () => {}, { bytes: 1e9, entries: 3 })).rejects.toThrow(/claims 4 files/);
    const lying = archive([{ name: 'torch/include/a.h', text: 'x', claim: 5000 }]);
    await expect(unpack(lying, out(), () => {})).rejects.toThrow();
  });

  it('refuses an archive that names a file twice', async () => {
    const twice = { name: 'torch/include/a.h', text: 'x' };
    await expect(unpack(archive([twice, twice]), out(), () => {})).rejects.toThrow(/EEXIST/);
  });
});
