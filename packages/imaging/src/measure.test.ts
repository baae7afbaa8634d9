import { describe, expect, it } from 'vitest';

import { affineFromColumns } from './affine.js';
import { labelVolumesMl, valueRange } from './measure.js';

const AFFINE = affineFromColumns([-0.5, 0, 0], [0, -0.5, 0], [0, 2, 4], [0, 0, 0]);

describe('labelVolumesMl', () => {
  const labels = { data: Uint8Array.of(0, 1, 1, 0, 7, 1), slices: 3, rows: 1, columns: 2, affine: AFFINE };

  it('counts voxels by the affine, where a tilt adds nothing to the volume', () => {
    const volumes = labelVolumesMl(labels);
    expect(volumes[1]).toBeCloseTo((3 * 0.25 * 4) / 1000, 12);
    expect(volumes[7]).toBeCloseTo((0.25 * 4) / 1000, 12);
    expect(volumes[3]).toBe(0);
  });

  it('counts uneven slices by their extents', () => {
    const volumes = labelVolumesMl({ ...labels, extents: [1, 10, 100] });
    expect(volumes[1]).toBeCloseTo((0.25 * (1 + 10 + 100)) / 1000, 12);
    expect(volumes[7]).toBeCloseTo((0.25 * 100) / 1000, 12);
  });

  it('refuses labels that nobody declared', () => {
    expect(() => labelVolumesMl({ ...labels, data: Uint8Array.of(0, 1, 1, 0, 8, 1) })).toThrow('found the label 8');
  });
});

describe('valueRange', () => {
  it('leaves NaN out', () => {
    expect(valueRange({ data: Int16Array.of(-1000, 0, 400) })).toEqual({ min: -1000, max: 400, mean: -200 });
    expect(valueRange({ data: Float32Array.of(NaN, 1, 3) })).toEqual({ min: 1, max: 3, mean: 2 });
    expect(valueRange({ data: Float32Array.of(NaN) }).mean).toBeNaN();
  });
});
