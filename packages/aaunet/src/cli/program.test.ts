import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configFromFlags, resumeCommand } from './commands/train.js';
import { interruptible } from './context.js';
import { describeError, sentenceOf } from './errors.js';
import { runCli } from './program.js';

async function run(...args: string[]) {
  const written = { out: '', err: '' };
  const code = await runCli(args, {
    stdout: { write: (text) => (written.out += text) },
    stderr: { write: (text) => (written.err += text) },
  });
  return { code, ...written };
}

const commands = ['synth', 'import', 'train', 'evaluate', 'predict', 'models', 'bench', 'doctor'];

describe('runCli', () => {
  it.each(commands)('helps with an example of "%s" on stdout', async (command) => {
    const { code, out, err } = await run(command, '--help');
    expect(code).toBe(0);
    expect(out).toContain(`Example:\n  aaunet ${command}`);
    expect(err).toBe('');
  });

  it.each([
    ['no command', []],
    ['an unknown command', ['trian']],
    ['an unknown option', ['models', '--jsno']],
    ['a missing argument', ['train', '--out', 'x']],
    ['a missing option', ['predict', 'x', '--model', 'm']],
    ['a number that is none', ['synth', 'x', '--cases', '3.5']],
    ['a number between the steps', ['bench', '--size', '33']],
    ['a number too large', ['serve', '--port', '99999999']],
    ['an unknown choice', ['evaluate', 'x', '--split', 'tset']],
    ['a value out of range', ['train', 'x', '--out', 'y', '--size', '500']],
    ['an unknown network to train', ['train', 'x', '--out', 'y', '--model', 'nonet']],
    ['an unknown network to measure', ['bench', '--model', 'nonet']],
    ['an unknown network to compare', ['reproduce', 'x', 'y', '--models', 'rsu,nonet']],
  ])('exits with 2 on %s, with nothing on stdout and no stack trace', async (_, args) => {
    const { code, out, err } = await run(...args);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).not.toBe('');
    expect(err).not.toMatch(/\n\s+at /);
  });

  it('exits with 1 on a bad input, with one sentence; the stack only with --verbose', async () => {
    const args = ['predict', '/none/there', '--model', 'm', '--out', 'o'];
    const plain = await run(...args);
    expect(plain).toMatchObject({ code: 1, out: '' });
    expect(plain.err).toBe(
      'error: Expected a NIfTI file, a DICOM folder, file or zip archive at /none/there, found nothing there.\n',
    );
    const verbose = await run(...args, '--verbose');
    expect(verbose.code).toBe(1);
    expect(verbose.err).toMatch(/\n\s+at /);
  });
});

describe('configFromFlags', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'aaunet-cli-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('puts flags over the file and the file over the defaults', async () => {
    const config = join(folder, 'c.json');
    await writeFile(config, '{"batch": 3, "seed": 7}');
    expect(await configFromFlags('d', { out: folder, config, seed: 9 })).toMatchObject({
      data: 'd',
      batch: 3,
      seed: 9,
      size: 512,
    });
  });

  it("resumes with the run's own configuration, or with the file that the command names, which the training compares", async () => {
    await writeFile(join(folder, 'config.json'), '{"data": "old", "batch": 5}');
    expect(await configFromFlags('d', { out: folder, resume: true })).toMatchObject({ batch: 5, data: 'd' });
    // Runs of versions that had no "fit" stretched their slices.
    expect(await configFromFlags('d', { out: folder, resume: true })).toMatchObject({ fit: 'stretch' });
    expect(await configFromFlags('d', { out: folder })).toMatchObject({ batch: 8 });
    const config = join(folder, 'named.json');
    await writeFile(config, '{"batch": 3}');
    expect(await configFromFlags('d', { out: folder, resume: true, config })).toMatchObject({ batch: 3, data: 'd' });
  });
});

describe('resumeCommand', () => {
  it('can be pasted into a shell, and names as many processes as there were', () => {
    expect(resumeCommand('data', 'run')).toBe('aaunet train data --out run --resume');
    expect(resumeCommand('my data', 'my run', 2)).toBe("aaunet train 'my data' --out 'my run' --nproc 2 --resume");
  });
});

describe('interruptible', () => {
  it('aborts on the first Ctrl-C and takes its handler away afterwards', async () => {
    const before = process.listenerCount('SIGINT');
    const context = { stdout: { write: () => true }, stderr: { write: () => true } };
    const reason = await interruptible(context, async (signal) => {
      process.emit('SIGINT');
      await Promise.resolve();
      return signal.reason as Error;
    });
    expect(reason.message).toBe('Stopped by Ctrl-C.');
    expect(process.listenerCount('SIGINT')).toBe(before);
  });
});

describe('errors', () => {
  it('makes a sentence of a system error', () => {
    const error = Object.assign(new Error("ENOSPC: no space left, write '/x'"), { code: 'ENOSPC', path: '/x' });
    expect(sentenceOf(error)).toBe('Cannot use /x: the disk is full.');
  });

  it('says that a file is where a folder should be', () => {
    const error = Object.assign(new Error("EEXIST: file already exists, mkdir '/x'"), { code: 'EEXIST', path: '/x' });
    expect(sentenceOf(error)).toBe('Cannot use /x: there is a file in the place of a folder.');
  });

  it('keeps to one line unless asked for more', () => {
    expect(describeError(new Error('Bad header.\n  details'), false)).toBe('error: Bad header.');
    expect(describeError(new Error('a', { cause: new Error('b') }), true)).toContain('caused by: Error: b');
  });
});
