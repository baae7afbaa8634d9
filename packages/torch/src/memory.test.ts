import { describe, expect, it } from 'vitest';

import { grad, noGrad } from './autograd.js';
import { full, ones, randn } from './create.js';
import { BatchNorm2d, concatenateResized, Conv2d, weighPixels, weighSplits } from './nn/index.js';
import { aten } from './operators.js';
import { manualSeed } from './runtime.js';
import { keep, tidy } from './scope.js';
import type { Tensor } from './tensor.js';

const residentMib = (): number => process.memoryUsage.rss() / 2 ** 20;

describe('the allocator', () => {
  it('gives the system its memory back once no large tensor lives', () => {
    const before = residentMib();
    const large = full([800, 2 ** 18], 1); // 800 MiB
    const during = residentMib();
    large.dispose();
    expect(during - before).toBeGreaterThan(750);
    expect(residentMib() - before).toBeLessThan(350);
  });

  it('takes holes again: steps with blocks of mixed sizes need little more than what lives', () => {
    const before = residentMib();
    const base = ones([2 ** 18]);
    let lives: Tensor[] = [];
    for (let round = 0; round < 40; round++) {
      // 2 to 41 MiB, half of which survive a round.
      const fresh = Array.from({ length: 10 }, (_, i) => full([2 + ((round * 7 + i * 11) % 40), 2 ** 18], i));
      const [gone, kept] = [fresh.filter((_, i) => i % 2 === 0), fresh.filter((_, i) => i % 2 === 1)];
      for (const one of [...lives, ...gone]) one.dispose();
      lives = kept;
    }
    const mib = residentMib() - before;
    for (const one of [...lives, base]) one.dispose();
    // At most 15 blocks of 41 MiB live at a time.
    expect(mib).toBeLessThan(15 * 41 + 100);
  });

  it('hands out no byte twice', () => {
    const lives = new Map<Tensor, number>();
    let seed = 1;
    const random = (below: number): number => (seed = (seed * 48271) % 2147483647) % below;
    for (let i = 0; i < 600; i++) {
      if (lives.size > 30 || (lives.size > 0 && random(3) === 0)) {
        const [tensor, value] = [...lives][random(lives.size)]!;
        tidy(() => {
          expect([tensor.min().item(), tensor.max().item()]).toEqual([value, value]);
        });
        lives.delete(tensor);
        tensor.dispose();
      } else {
        // Around the size from which blocks are large, and well above.
        const value = random(1000);
        lives.set(full([random(2) === 0 ? 16_300 + random(200) : 1 + random(500_000)], value), value);
      }
    }
    for (const [tensor, value] of lives) {
      tidy(() => {
        expect([tensor.min().item(), tensor.max().item()]).toEqual([value, value]);
      });
      tensor.dispose();
    }
  });
});

/** What is computed again for backward: outputs with a kernel, each of one input. */
const RECOMPUTED: Record<string, (x: Tensor) => Tensor> = {
  'a normalisation with ReLU': (x) => new BatchNorm2d(4).forwardReLU(x),
  'a normalisation': (x) => new BatchNorm2d(4).forward(x),
  'a concatenation': (x) => concatenateResized([x], { size: [12, 10] }),
  'weighed channels': (x) => weighSplits(x, ones([2, 4]).mul(0.5), 1),
  'weighed pixels': (x) => weighPixels(x, ones([2, 1, 6, 5]).mul(0.5)),
};

describe('backward', () => {
  const input = (): Tensor => {
    manualSeed(1);
    const x = randn([2, 4, 6, 5]).contiguous('channels_last').detach();
    x.requiresGrad = true;
    return x;
  };
  /** The weight's gradient of a convolution of `made`, with something done to its input between the passes. */
  const gradient = (make: (x: Tensor) => Tensor, between: (made: Tensor) => void): number[] =>
    tidy(() => {
      manualSeed(2);
      const conv = new Conv2d(4, 3, 3);
      const made = make(input());
      const output = conv.forward(made);
      between(made);
      return grad([output.mul(output).sum()], [conv.weight])[0]!.toArray();
    });
  const overwrite = (made: Tensor): void => {
    noGrad(() => made.detach().fill_(7));
  };

  it.each(Object.entries(RECOMPUTED))('computes %s again instead of keeping it', (_, make) => {
    const undisturbed = gradient(make, () => undefined);
    // A kept one would be refused: it is no longer what the convolution has seen.
    expect(gradient(make, overwrite)).toEqual(undisturbed);
    // And it is the gradient of one that is kept.
    const kept = gradient(
      (x) => aten.mul.Tensor(make(x), ones([1])),
      () => undefined,
    );
    expect(undisturbed).toEqual(kept);
  });

  it('keeps a normalisation to which a residual was added', () => {
    expect(() => gradient((x) => new BatchNorm2d(4).forwardReLU(x, x), overwrite)).toThrow(/modified by an inplace/);
  });

  it('keeps what was changed in place before it was used', () => {
    const make = (x: Tensor): Tensor => {
      const made = concatenateResized([x], { size: [12, 10] });
      noGrad(() => made.detach().mul_(2));
      return made;
    };
    const doubled = gradient(
      (x) => concatenateResized([x], { size: [12, 10] }).mul(2),
      () => undefined,
    );
    expect(gradient(make, () => undefined)).toEqual(doubled);
  });

  it('computes again what it needs to compute something again', () => {
    const chain = (x: Tensor): Tensor => {
      const normalised = new BatchNorm2d(4).forwardReLU(x);
      const weighed = weighSplits(normalised, ones([2, 4]).mul(0.5), 1);
      const joined = concatenateResized([weighed, x], { size: [12, 10] });
      return concatenateResized([aten.narrow(joined, 1, 2, 4).contiguous('channels_last')]);
    };
    expect(gradient(chain, overwrite)).toEqual(gradient(chain, () => undefined));
  });

  it('goes twice over a graph that is retained', () => {
    tidy(() => {
      const x = input();
      const conv = new Conv2d(4, 3, 3);
      const output = conv.forward(new BatchNorm2d(4).forwardReLU(x)).sum();
      const [first] = grad([output], [x], { retainGraph: true });
      const [second] = grad([output], [x]);
      expect(keep(second!).toArray()).toEqual(first!.toArray());
      second!.dispose();
    });
  });
});
