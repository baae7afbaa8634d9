import { fromTypedArray, memoryStats, tidy } from '@aaunet/torch';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { augment, type AugmentationRanges } from './augment.js';

const SIZE = 64;
const NONE: AugmentationRanges = {
  enabled: true,
  rotation: 0,
  scale: [1, 1],
  shift: 0,
  flip: 0,
  contrast: 0,
  brightness: 0,
  saturation: 0,
};
const ALL: AugmentationRanges = {
  enabled: true,
  rotation: 30,
  scale: [0.8, 1.25],
  shift: 0.1,
  flip: 0.5,
  contrast: 0.15,
  brightness: 0.1,
  saturation: 0.1,
};

interface Batch {
  image: Float32Array;
  labels: Uint8Array;
}

/** A bright rectangle off the centre on dark ground, label 5 where it is; the three slices differ a little. */
function rectangles(batch = 2): Batch {
  const image = new Float32Array(batch * 3 * SIZE * SIZE).fill(0.1);
  const labels = new Uint8Array(batch * SIZE * SIZE);
  for (let n = 0; n < batch; n++)
    for (let row = 18; row < 36; row++)
      for (let column = 26; column < 50; column++) {
        labels[(n * SIZE + row) * SIZE + column] = 5;
        for (let slice = 0; slice < 3; slice++)
          image[((n * 3 + slice) * SIZE + row) * SIZE + column] = 0.8 + 0.05 * slice;
      }
  return { image, labels };
}

function run(
  { image, labels }: Batch,
  ranges: AugmentationRanges,
  stream = 'a',
): { image: number[]; target: number[] } {
  const batch = labels.length / SIZE ** 2;
  return tidy(() => {
    const result = augment(
      fromTypedArray(image, [batch, 3, SIZE, SIZE]),
      fromTypedArray(labels, [batch, SIZE, SIZE]),
      ranges,
      stream,
    );
    expect(result.image.shape).toEqual([batch, 3, SIZE, SIZE]);
    expect(result.image.dtype).toBe('float32');
    expect(result.target.shape).toEqual([batch, SIZE, SIZE]);
    expect(result.target.dtype).toBe('int64');
    return { image: result.image.toArray(), target: result.target.toArray() };
  });
}

/** Some structure everywhere: a hash of the position. */
function noise(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => ((i * 7919) % 1009) / 1009);
}

describe('augment', () => {
  it('gives the same batch for the same stream and another for another', () => {
    const first = run(rectangles(), ALL, 'augment 0 17');
    expect(run(rectangles(), ALL, 'augment 0 17')).toEqual(first);
    expect(run(rectangles(), ALL, 'augment 0 18').image).not.toEqual(first.image);
  });

  it('moves the images of a batch independently', () => {
    const { target } = run(rectangles(2), ALL);
    expect(target.slice(0, SIZE ** 2)).not.toEqual(target.slice(SIZE ** 2));
  });

  it.each([{ ...NONE }, { ...ALL, enabled: false }])('changes nothing where there is nothing to draw', (ranges) => {
    const image = noise(2 * 3 * SIZE * SIZE);
    const labels = Uint8Array.from({ length: 2 * SIZE * SIZE }, (_, i) => (i * 31) % 8);
    const result = run({ image, labels }, ranges);
    expect(result.target).toEqual([...labels]);
    const worst = result.image.reduce((most, value, i) => Math.max(most, Math.abs(value - image[i]!)), 0);
    expect(worst).toBeLessThan(1e-5);
  });

  it('flips image and labels together, left to right', () => {
    const image = noise(3 * SIZE * SIZE);
    const labels = Uint8Array.from({ length: SIZE * SIZE }, (_, i) => (i * 31) % 8);
    const result = run({ image, labels }, { ...NONE, flip: 1 });
    for (let row = 0; row < SIZE; row++)
      for (let column = 0; column < SIZE; column++) {
        const mirrored = row * SIZE + (SIZE - 1 - column);
        expect(result.target[row * SIZE + column]).toBe(labels[mirrored]);
        expect(result.image[row * SIZE + column]).toBeCloseTo(image[mirrored]!, 4);
      }
  });

  it('keeps image and labels on each other and every value in its range, whatever is drawn', () => {
    const batch = rectangles(1);
    fc.assert(
      fc.property(fc.string(), (stream) => {
        const { image, target } = run(batch, ALL, stream);
        expect([...new Set(target)].every((label) => label === 0 || label === 5)).toBe(true);
        expect(image.every((value) => value >= 0 && value <= 1)).toBe(true);
        const middle = image.slice(SIZE ** 2, 2 * SIZE ** 2);
        let [both, bright, marked] = [0, 0, 0];
        for (const [i, value] of middle.entries()) {
          if (value > 0.45) bright++;
          if (target[i] === 5) marked++;
          if (value > 0.45 && target[i] === 5) both++;
        }
        expect(marked).toBeGreaterThan(100);
        expect((2 * both) / (bright + marked)).toBeGreaterThan(0.95);
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  it('turns by the angle asked for, without shear: areas grow by the square of the scale', () => {
    const area = (ranges: Partial<AugmentationRanges>, stream: string): number =>
      run(rectangles(1), { ...NONE, ...ranges }, stream).target.filter((label) => label === 5).length;
    for (const stream of ['a', 'b', 'c', 'd']) {
      expect(Math.abs(area({ rotation: 45 }, stream) / (18 * 24) - 1)).toBeLessThan(0.05);
      expect(area({ scale: [1.2, 1.2] }, stream) / (18 * 24)).toBeCloseTo(1.44, 1);
    }
  });

  it('draws each colour factor within its range about its centre', () => {
    // A uniform image has no contrast and no saturation: brightness alone moves it.
    const flat = { image: new Float32Array(3 * SIZE * SIZE).fill(0.5), labels: new Uint8Array(SIZE * SIZE) };
    const contrastOnly = run(flat, { ...NONE, contrast: 0.5, saturation: 0.5 }).image;
    expect(Math.max(...contrastOnly.map((value) => Math.abs(value - 0.5)))).toBeLessThan(1e-5);
    const seen = Array.from(
      { length: 40 },
      (_, i) => run(flat, { ...NONE, brightness: 0.2 }, `b${i}`).image[SIZE * 32]!,
    );
    expect(Math.min(...seen)).toBeGreaterThanOrEqual(0.4 - 1e-6);
    expect(Math.max(...seen)).toBeLessThanOrEqual(0.6 + 1e-6);
    expect(Math.max(...seen) - Math.min(...seen)).toBeGreaterThan(0.1);
  });

  it('leaves nothing behind but image and labels', () => {
    const { image, labels } = rectangles();
    using imageTensor = fromTypedArray(image, [2, 3, SIZE, SIZE]);
    using labelTensor = fromTypedArray(labels, [2, SIZE, SIZE]);
    const { tensors } = memoryStats();
    const result = augment(imageTensor, labelTensor, ALL, 'x');
    result.image.dispose();
    result.target.dispose();
    expect(memoryStats().tensors).toBe(tensors);
  });
});
