import { memoryStats, noGrad, randn } from '@aaunet/torch';
import { expect, it } from 'vitest';

import type { Encoder } from './encoder.js';
import { ResNeSt } from './resnest.js';

it('keeps the contract of encoders: features from fine to coarse, as declared, and nothing else left behind', () => {
  const encoder: Encoder = new ResNeSt('resnest50', 3).eval();
  using image = randn([1, 3, 64, 96]);
  const { tensors } = memoryStats();
  const features = noGrad(() => encoder.forward(image));
  expect(features.map(({ shape }) => shape)).toEqual(
    encoder.channels.map((channels, i) => [1, channels, 64 / encoder.strides[i]!, 96 / encoder.strides[i]!]),
  );
  expect(memoryStats().tensors).toBe(tensors + features.length);
  for (const feature of features) feature.dispose();
  encoder[Symbol.dispose]();
});
