import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, rmdir, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { replaceFile, replaceFolder, writeFileAtomic } from './atomic-write.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-atomic-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('atomic files', () => {
  it('writes into folders that do not exist yet and leaves no temporary file', async () => {
    await writeFileAtomic(join(folder, 'a', 'b.txt'), 'text');
    expect(await readFile(join(folder, 'a', 'b.txt'), 'utf8')).toBe('text');
    expect(await readdir(join(folder, 'a'))).toEqual(['b.txt']);
  });

  it('replaces a file whole, and leaves nothing behind where its place is taken by a folder', async () => {
    await writeFileAtomic(join(folder, 'a.json'), 'one');
    await writeFileAtomic(join(folder, 'a.json'), 'two');
    expect(await readFile(join(folder, 'a.json'), 'utf8')).toBe('two');
    await mkdir(join(folder, 'taken'));
    await expect(writeFileAtomic(join(folder, 'taken'), 'three')).rejects.toThrow();
    expect((await readdir(folder)).sort()).toEqual(['a.json', 'taken']);
  });

  it('keeps the old file and removes the half-written one when the writer fails', async () => {
    const path = join(folder, 'last.bin');
    await writeFileAtomic(path, 'old');
    await expect(
      replaceFile(path, async (temporary) => {
        await writeFile(temporary, 'half');
        throw new Error('disk full');
      }),
    ).rejects.toThrow('disk full');
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['last.bin']);
  });

  it.skipIf(!existsSync('/dev/full'))('names the file that a full disk could not take', async () => {
    const path = join(folder, 'large.bin');
    const written = replaceFile(path, () => writeFile('/dev/full', 'more than fits'));
    await expect(written).rejects.toMatchObject({ code: 'ENOSPC', path });
    expect(await readdir(folder)).toEqual([]);
  });

  it('names the file, not its temporary name, where it cannot be written', async () => {
    const path = join(folder, 'a.bin');
    const written = replaceFile(path, (temporary) => rmdir(temporary));
    await expect(written).rejects.toMatchObject({ code: 'ENOENT', path });
    const other = join(folder, 'other');
    await expect(replaceFile(path, () => rmdir(other))).rejects.toMatchObject({ path: other });
  });

  it('removes what a killed writer of the same file left long ago, and nothing else', async () => {
    const day = new Date(Date.now() - 86_400_000);
    const [killed, running] = ['.a.bin.4711-0123abcd.tmp', '.a.bin.4712-0123abcd.tmp'];
    const foreign = ['.a.bin.tmp', '.b.bin.4711-0123abcd.tmp', 'a.bin.4711-0123abcd.tmp', '.a.bin.x.4711-0123abcd.tmp'];
    for (const name of [killed, running, ...foreign]) await writeFile(join(folder, name), 'half');
    for (const name of [killed, ...foreign]) await utimes(join(folder, name), day, day);
    await writeFileAtomic(join(folder, 'a.bin'), 'whole');
    expect((await readdir(folder)).sort()).toEqual(['a.bin', running, ...foreign].sort());
  });
});

describe('atomic folders', () => {
  const fill = (text: string) => async (temporary: string) => {
    await writeFile(join(temporary, 'out.txt'), text);
  };

  it('replaces an earlier output as a whole', async () => {
    const path = join(folder, 'out');
    await replaceFolder(path, ['out.txt'], fill('1'));
    await replaceFolder(path, ['out.txt'], fill('2'));
    expect(await readFile(join(path, 'out.txt'), 'utf8')).toBe('2');
    expect(await readdir(folder)).toEqual(['out']);
  });

  it('removes what a killed writer of the same folder left long ago', async () => {
    const day = new Date(Date.now() - 86_400_000);
    const [killed, running] = ['.out.4711-0123abcd.tmp', '.out.4712-0123abcd.tmp'];
    for (const name of [killed, running]) await mkdir(join(folder, name));
    await writeFile(join(folder, killed, 'out.txt'), 'half');
    await utimes(join(folder, killed), day, day);
    await replaceFolder(join(folder, 'out'), ['out.txt'], fill('1'));
    expect((await readdir(folder)).sort()).toEqual([running, 'out']);
  });

  it("never removes a user's files", async () => {
    const path = join(folder, 'out');
    await replaceFolder(path, ['out.txt'], fill('1'));
    await writeFile(join(path, 'thesis.docx'), 'years of work');
    await expect(replaceFolder(path, ['out.txt'], fill('2'))).rejects.toThrow('thesis.docx');
    expect(await readFile(join(path, 'out.txt'), 'utf8')).toBe('1');
    expect(await readdir(folder)).toEqual(['out']);
  });

  it('leaves nothing behind when filling fails', async () => {
    await expect(replaceFolder(join(folder, 'out'), [], () => Promise.reject(new Error('boom')))).rejects.toThrow(
      'boom',
    );
    expect(await readdir(folder)).toEqual([]);
  });

  it('names the folder that was asked for where a file in it could not be written, as on a full disk', async () => {
    const full = (path?: string) =>
      Object.assign(new Error('ENOSPC: no space left on device, write'), {
        code: 'ENOSPC',
        syscall: 'write',
        ...(path !== undefined && { path }),
      });
    const path = join(folder, 'out');
    await expect(replaceFolder(path, [], () => Promise.reject(full()))).rejects.toMatchObject({ path });
    await expect(
      replaceFolder(path, [], (temporary) => Promise.reject(full(join(temporary, 'a.txt')))),
    ).rejects.toMatchObject({ path });
    const elsewhere = join(folder, 'input.nii');
    await expect(replaceFolder(path, [], () => Promise.reject(full(elsewhere)))).rejects.toMatchObject({
      path: elsewhere,
    });
    expect(await readdir(folder)).toEqual([]);
  });
});
