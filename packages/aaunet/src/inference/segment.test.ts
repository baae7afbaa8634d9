import { NETWORK_WINDOW } from '@aaunet/imaging';
import { bfloat16On, manualSeed, randn, tensor, tidy, zeros, type Tensor } from '@aaunet/torch';
import { Conv2d } from '@aaunet/torch/nn';
import { describe, expect, it } from 'vitest';

import { leaveOutUnknown } from '../evaluation/score.js';
import { likeliestClass, mixedPrecision, segmentProbabilities, segmentSlices, trainingPrecision } from './segment.js';

/** One pixel whose classes have these probabilities. */
function pixel(probabilities: readonly number[]): Tensor {
  return tensor([probabilities.map((probability) => [[Math.log(probability)]])]);
}

describe('likeliestClass', () => {
  it('counts types that were not taught as background, together', () => {
    tidy(() => {
      const divided = pixel([0.25, 0.3, 0.05, 0.05, 0.05, 0.2, 0.05, 0.05]);
      expect(likeliestClass(divided).item()).toBe(1);
      expect(likeliestClass(divided, [5]).item()).toBe(0);
      expect(likeliestClass(divided, [1, 2, 3, 4, 5, 6, 7]).item()).toBe(0);
    });
  });

  it('answers with class numbers whatever was left out, and never with a type that was', () => {
    tidy(() => {
      for (const winner of [1, 2, 3, 4, 7]) {
        const sure = pixel(Array.from({ length: 8 }, (_, c) => (c === winner ? 0.93 : 0.01)));
        expect(likeliestClass(sure, [5, 6]).item()).toBe(winner);
      }
      manualSeed(0);
      const found = likeliestClass(randn([2, 8, 16, 16]), [5, 6]);
      expect(found.shape).toEqual([2, 16, 16]);
      expect(found.toArray().every((id) => id !== 5 && id !== 6)).toBe(true);
    });
  });
});

it('scores a network in the precision in which a compiled one predicts, whatever it was trained in', () => {
  const seen: string[] = [];
  class Probe extends Conv2d {
    override forward(input: Tensor): Tensor {
      const output = super.forward(input);
      seen.push(output.dtype);
      return output;
    }
  }
  const support = bfloat16On('cpu');
  tidy(() => {
    const network = new Probe(3, 8, 1);
    const settings = { window: NETWORK_WINDOW, device: 'cpu', precision: 'bf16' } as const;
    for (const segment of [segmentSlices, segmentProbabilities]) segment(network, zeros([1, 3, 32, 32]), settings);
    mixedPrecision('cpu', trainingPrecision('cpu', 'bf16'), () => network.forward(zeros([1, 3, 32, 32])));
    network[Symbol.dispose]();
  });
  const inferred = support === 'computed' ? 'bfloat16' : 'float32';
  expect(seen).toEqual([inferred, inferred, support === 'slow' ? 'float32' : 'bfloat16']);
});

describe('leaveOutUnknown', () => {
  it('makes neither hit nor miss of voxels whose true type is unknown', () => {
    const [truth, predicted] = [Uint8Array.of(0, 8, 2, 8), Uint8Array.of(1, 1, 2, 0)];
    leaveOutUnknown(truth, predicted);
    expect([[...truth], [...predicted]]).toEqual([
      [0, 0, 2, 0],
      [1, 0, 2, 0],
    ]);
  });
});
