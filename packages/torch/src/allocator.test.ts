import { describe, expect, it } from 'vitest';

import { empty, full, tidy, type Tensor } from './index.js';

const MEBIBYTE = 2 ** 20;

function mebibytes(size: number): Tensor {
  return empty([size * MEBIBYTE], { dtype: 'uint8' });
}

describe('the cache of memory blocks', () => {
  it('gives a freed block to the next tensor of its size, so that a training step maps no new memory', () => {
    const step = (): void => {
      tidy(() => {
        const a = full([40 * MEBIBYTE], 1, { dtype: 'uint8' });
        const b = full([24 * MEBIBYTE], 2, { dtype: 'uint8' });
        expect(Number(a.select(0, 5).item()) + Number(b.select(0, 5).item())).toBe(3);
      });
    };
    for (let i = 0; i < 3; i++) step();
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 30; i++) step();
    expect(process.memoryUsage.rss() - before).toBeLessThan(32 * MEBIBYTE);
  });

  it('does not pile up idle blocks when sizes keep changing', () => {
    mebibytes(64).dispose();
    const before = process.memoryUsage.rss();
    for (let size = 64; size < 164; size += 4) {
      using tensor = full([size * MEBIBYTE], 7, { dtype: 'uint8' });
      expect(tensor.numel).toBe(size * MEBIBYTE);
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan(800 * MEBIBYTE);
  });

  it('keeps contents apart: blocks in use are never handed out twice', () => {
    const tensors = Array.from({ length: 12 }, (_, i) => full([(1 + (i % 3)) * MEBIBYTE], i, { dtype: 'uint8' }));
    tensors
      .filter((_, i) => i % 2 === 0)
      .forEach((tensor) => {
        tensor.dispose();
      });
    const more = Array.from({ length: 6 }, (_, i) => full([(1 + (i % 3)) * MEBIBYTE], 100 + i, { dtype: 'uint8' }));
    for (const [i, tensor] of tensors.entries()) {
      if (i % 2 === 1) expect([Number(tensor.min().item()), Number(tensor.max().item())]).toEqual([i, i]);
    }
    for (const [i, tensor] of more.entries())
      expect([Number(tensor.min().item()), Number(tensor.max().item())]).toEqual([100 + i, 100 + i]);
  });

  it('says that memory is short instead of ending the process', () => {
    expect(() => mebibytes(2 ** 24)).toThrow(expect.objectContaining({ code: 'ERR_TORCH_OUT_OF_MEMORY' }));
  });
});
