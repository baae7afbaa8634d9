import { describe, expect, it } from 'vitest';

import { LABELS } from './labels.js';

/** Linear RGB as dichromats see it: Machado, Oliveira and Fernandes, IEEE TVCG 2009, severity 1. */
const VISIONS = {
  usual: [1, 0, 0, 0, 1, 0, 0, 0, 1],
  protanopia: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deuteranopia: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritanopia: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
} as const;
const TO_XYZ = [0.4124564, 0.3575761, 0.1804375, 0.2126729, 0.7151522, 0.072175, 0.0193339, 0.119192, 0.9503041];

function times(matrix: readonly number[], [x, y, z]: readonly number[]): number[] {
  return [0, 3, 6].map((row) => matrix[row]! * x! + matrix[row + 1]! * y! + matrix[row + 2]! * z!);
}

/** CIELab of an sRGB colour as somebody sees it. */
function labOf(color: readonly number[], vision: readonly number[]): number[] {
  const linear = color.map((value) =>
    value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4,
  );
  const seen = times(vision, linear).map((value) => Math.min(1, Math.max(0, value)));
  const white = [0.95047, 1, 1.08883];
  const [x, y, z] = times(TO_XYZ, seen).map((value, i) => {
    const part = value / white[i]!;
    return part > 216 / 24389 ? Math.cbrt(part) : ((24389 / 27) * part + 16) / 116;
  });
  return [116 * y! - 16, 500 * (x! - y!), 200 * (y! - z!)];
}

describe("the labels' colours", () => {
  it.each(Object.entries(VISIONS))('are told apart on a dark scan with %s vision', (_, vision) => {
    const seen = LABELS.map(({ name, color }) => ({ name, lab: labOf(color, vision) }));
    for (const [i, one] of seen.entries()) {
      expect([one.name, one.lab[0]! > 45]).toEqual([one.name, true]);
      for (const other of seen.slice(i + 1)) {
        const apart = Math.hypot(...one.lab.map((value, axis) => value - other.lab[axis]!));
        // 10 is seen at a glance where two colours touch.
        expect([one.name, other.name, apart > 25]).toEqual([one.name, other.name, true]);
      }
    }
  });
});
