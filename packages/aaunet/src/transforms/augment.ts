import { aten, fromTypedArray, tidy, type Tensor } from '@aaunet/torch';

import { randomStream, type RandomStream } from '../random.js';
import type { TrainConfig } from '../training/config.js';

export type AugmentationRanges = TrainConfig['augmentation'];

/** Where slices stand in a batch that is computed in parts. */
export interface BatchPlace {
  readonly first: number;
  readonly of: number;
}

export interface Augmented {
  /** N x 3 x S x S in 0..1. */
  image: Tensor;
  /** N x S x S, int64. */
  target: Tensor;
}

/**
 * The paper's augmentation of a batch: rotation, crop (scale and shift), flip in one resampling; contrast, brightness and
 * saturation with the three slices taken for red, green and blue.
 *
 * @param image N x 3 x S x S in 0..1
 * @param labels N x S x S, uint8
 * @param stream names the random numbers: the same name gives the same batch
 * @param place of these slices in the batch that the random numbers are drawn for; by default they are all of it
 */
export function augment(
  image: Tensor,
  labels: Tensor,
  ranges: AugmentationRanges,
  stream: string,
  place: BatchPlace = { first: 0, of: image.size(0) },
): Augmented {
  return tidy(() => {
    if (!ranges.enabled) return { image, target: labels.to('int64') };
    const random = randomStream(stream);
    const [batch = 0, channels = 0, rows = 0, columns = 0] = image.shape;
    const matrices = drawn(place, batch, () => drawMatrix(ranges, random)).flat();
    const theta = fromTypedArray(Float32Array.from(matrices), [batch, 2, 3], { device: image.device }).to(image.dtype);
    const grid = aten.affine_grid_generator(theta, [batch, channels, rows, columns], false);
    const moved = aten.grid_sampler(image, grid, BILINEAR, ZEROS, false);
    const movedLabels = aten.grid_sampler(labels.unsqueeze(1).to(image.dtype), grid, NEAREST, ZEROS, false);
    return { image: colours(moved, ranges, random, place), target: movedLabels.squeeze(1).to('int64') };
  });
}

// grid_sampler's enumerations.
const BILINEAR = 0;
const NEAREST = 1;
const ZEROS = 0;

const between = (random: RandomStream, low: number, high: number): number => low + (high - low) * random.next();

/** Draws for every slice of the batch and takes those of the slices at hand. */
function drawn<T>({ first, of }: BatchPlace, count: number, draw: () => T): T[] {
  return Array.from({ length: of }, draw).slice(first, first + count);
}

/** Rows of the 2 x 3 matrix from output to input coordinates, both in -1..1 over the image. */
function drawMatrix(ranges: AugmentationRanges, random: RandomStream): number[] {
  const angle = (between(random, -ranges.rotation, ranges.rotation) * Math.PI) / 180;
  const scale = 1 / between(random, ...ranges.scale);
  const mirror = random.next() < ranges.flip ? -1 : 1;
  const shift = (): number => 2 * between(random, -ranges.shift, ranges.shift);
  const [cos, sin] = [Math.cos(angle) * scale, Math.sin(angle) * scale];
  return [cos * mirror, -sin, shift(), sin * mirror, cos, shift()];
}

/** Each image's own factors: contrast about its mean, brightness, saturation about the mean of its three slices. */
function colours(image: Tensor, ranges: AugmentationRanges, random: RandomStream, place: BatchPlace): Tensor {
  const batch = image.size(0);
  const factors = (spread: number): Tensor => {
    const values = Float32Array.from(drawn(place, batch, () => between(random, 1 - spread, 1 + spread)));
    return fromTypedArray(values, [batch, 1, 1, 1], { device: image.device }).to(image.dtype);
  };
  const about = (x: Tensor, centre: Tensor, factor: Tensor): Tensor => aten.lerp.Tensor(centre, x, factor);
  const contrasted = about(image, image.mean([1, 2, 3], true), factors(ranges.contrast));
  const saturated = about(contrasted, contrasted.mean([1], true), factors(ranges.saturation));
  return aten.clamp_(saturated.mul_(factors(ranges.brightness)), 0, 1);
}
