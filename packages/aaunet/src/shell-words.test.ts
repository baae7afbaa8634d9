import { execFileSync } from 'node:child_process';

import { expect, it } from 'vitest';

import { shellWords } from './shell-words.js';

it('leaves plain words as they are', () => {
  expect(shellWords(['aaunet', 'train', '../data/a_b', '--out', 'runs/1.5'])).toBe(
    'aaunet train ../data/a_b --out runs/1.5',
  );
});

it('is read by a shell as the words that it was made of', () => {
  const words = ['my data', "it's", '$HOME', '~', '*', '"', '\\', '', 'ä\nb'];
  const read = execFileSync('sh', ['-c', `printf '%s\\0' ${shellWords(words)}`], { encoding: 'utf8' });
  expect(read.split('\0').slice(0, -1)).toEqual(words);
});
