import { DISPLAY_WINDOWS, NETWORK_WINDOW, windowToInput } from '@aaunet/imaging';
import { fromTypedArray, tidy } from '@aaunet/torch';
import { describe, expect, it } from 'vitest';

import { windowed } from './window.js';

describe('windowed', () => {
  // Training windows on tensors, the viewer on arrays: a network must see the same from both.
  it.each([NETWORK_WINDOW, DISPLAY_WINDOWS.bone])('gives what imaging gives, for every HU there is (%o)', (window) => {
    const hu = Int16Array.from({ length: 65536 }, (_, i) => i - 32768);
    tidy(() => {
      const input = windowed(fromTypedArray(hu, [256, 256]), window);
      expect(input.dtype).toBe('float32');
      const values = input.data('float32');
      const expected = windowToInput(hu, window);
      let worst = 0;
      for (const [i, value] of expected.entries()) worst = Math.max(worst, Math.abs(values[i]! - value));
      // Both in float32; one of them multiplies by a rounded 1 / width.
      expect(worst).toBeLessThan(1.5e-7);
      expect([values[0], values[65535]]).toEqual([0, 1]);
    });
  });
});
