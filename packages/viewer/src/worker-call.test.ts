import { describe, expect, it } from 'vitest';

import { sentenceOf } from './worker-call.js';

const thrownBy = (task: () => unknown): unknown => {
  try {
    task();
  } catch (error) {
    return error;
  }
  throw new Error('Expected an error, found none.');
};

describe('what a worker says of an error', () => {
  it('is what to do where the browser has no memory left', () => {
    const noMemory = [
      thrownBy(() => new Float32Array(2 ** 50)),
      thrownBy(() => new ArrayBuffer(2 ** 50)),
      // As WebAssembly's allocator says it.
      new Error('failed to call OrtRun(). ERROR_CODE: 6, ERROR_MESSAGE: std::bad_alloc'),
    ];
    for (const error of noMemory) {
      expect(sentenceOf(error)).toMatch(/^The browser has no memory left for this .*smaller scan or network\.$/);
    }
  });

  it('is the sentence of any other error', () => {
    expect(sentenceOf(new Error('Expected a head CT, found a foot.'))).toBe('Expected a head CT, found a foot.');
    expect(sentenceOf('text')).toBe('text');
  });
});
