import { describe, expect, it } from 'vitest';

import { CalibrationAccumulator } from './calibration.js';

describe('CalibrationAccumulator', () => {
  it('is 0 where probabilities come true as often as they say, 1 where they are surely wrong', () => {
    const good = new CalibrationAccumulator();
    for (let i = 0; i < 10; i++) good.add(0.3, i < 3);
    expect(good.result.ece).toBeCloseTo(0, 12);
    const bad = new CalibrationAccumulator();
    bad.add(1, false);
    bad.add(0, true);
    expect(bad.result).toMatchObject({ ece: 1, n: 2 });
    expect(new CalibrationAccumulator().result.ece).toBeNaN();
  });

  it('weights bins by what they hold', () => {
    const found = new CalibrationAccumulator(2);
    for (let i = 0; i < 3; i++) found.add(0.2, false);
    found.add(0.9, true);
    expect(found.result.ece).toBeCloseTo((3 * 0.2 + 0.1) / 4, 12);
    expect(found.result.bins.map(({ n }) => n)).toEqual([3, 1]);
  });

  it('agrees with NumPy for 15 bins', () => {
    const found = new CalibrationAccumulator();
    for (let m = 0; m < 200; m++) {
      const probability = (((m * 61) % 200) + 0.5) / 200;
      found.add(probability, ((m * 17) % 23) / 23 < probability ** 1.5);
    }
    expect(found.result.ece).toBeCloseTo(0.143775, 12);
  });
});
