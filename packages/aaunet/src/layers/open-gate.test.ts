import { manualSeed, ones, rand, tidy } from '@aaunet/torch';
import { expect, it } from 'vitest';

import { ChannelAttention } from './channel-attention.js';
import { SpaceAttention } from './space-attention.js';

it('gates of new layers let most of everything pass', () => {
  manualSeed(1);
  tidy(() => {
    using channel = new ChannelAttention(32);
    expect(
      Number(
        channel
          .forward(ones([2, 32, 8, 8]))
          .min()
          .item(),
      ),
    ).toBeGreaterThan(0.75);
    using space = new SpaceAttention(32, 64);
    const map = space.forward(ones([2, 32, 16, 16]), rand([2, 64, 16, 16]));
    expect(Number(map.mean().item())).toBeGreaterThan(0.75);
    // Not everywhere alike: where a gate does not open by itself it can still learn to.
    expect(Number(map.min().item())).toBeLessThan(Number(map.max().item()));
  });
});
