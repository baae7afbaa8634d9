import { ImagingError } from './imaging-error.js';
import { roundHalfToEven } from './round.js';
import type { VoxelArray } from './volume.js';

/** Pixels `first` to `first + count` of an axis. */
interface Range {
  readonly first: number;
  readonly count: number;
}

/** An axis of `from` pixels, of which a slice holds those of `source`, seen as `to` pixels, of which those of `out` are wanted. */
export interface AxisScale {
  readonly from: number;
  readonly to: number;
  readonly source: Range;
  readonly out: Range;
}

export interface PlaneScale {
  readonly down: AxisScale;
  readonly across: AxisScale;
}

/** What lies around a slice: air in HU. */
const AIR = -1024;

/** What one output pixel takes along an axis: pixels of the slice from `first` on by weights, which with `outside` add up to 1. */
interface Tap {
  readonly first: number;
  readonly weights: readonly number[];
  readonly outside: number;
}

/**
 * A slice at another in-plane size: along each axis the area average where it shrinks, linear interpolation between pixel
 * centres where it grows; air outside the slice; rounded to whole HU (halves to even).
 */
export function resampleSlice(source: Int16Array, plane: PlaneScale): Int16Array {
  checkSlice(source, plane);
  const across = taps(plane.across, linearTap);
  const down = taps(plane.down, linearTap);
  const [rows, columns] = [plane.down.source.count, plane.across.source.count];
  const narrow = new Float32Array(rows * across.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < across.length; column++) {
      const { first, weights, outside } = across[column]!;
      let sum = outside * AIR;
      for (let t = 0; t < weights.length; t++) sum += source[row * columns + first + t]! * weights[t]!;
      narrow[row * across.length + column] = sum;
    }
  }
  const out = new Int16Array(down.length * across.length);
  for (let row = 0; row < down.length; row++) {
    const { first, weights, outside } = down[row]!;
    for (let column = 0; column < across.length; column++) {
      let sum = outside * AIR;
      for (let t = 0; t < weights.length; t++) sum += narrow[(first + t) * across.length + column]! * weights[t]!;
      out[row * across.length + column] = roundHalfToEven(sum);
    }
  }
  return out;
}

/**
 * Labels of a slice at another in-plane size: the label with the largest area where it shrinks (of equals a lesion before
 * background, then the lower number), the nearest where it grows; background outside the slice.
 */
export function resampleLabelSlice(source: Uint8Array, plane: PlaneScale): Uint8Array {
  checkSlice(source, plane);
  const across = taps(plane.across, nearestTap);
  const down = taps(plane.down, nearestTap);
  const columns = plane.across.source.count;
  const out = new Uint8Array(down.length * across.length);
  const areas = new Float64Array(256);
  for (let row = 0; row < down.length; row++) {
    const vertical = down[row]!;
    for (let column = 0; column < across.length; column++) {
      const horizontal = across[column]!;
      const seen = [0];
      areas[0] = vertical.outside + (1 - vertical.outside) * horizontal.outside;
      for (let v = 0; v < vertical.weights.length; v++) {
        const start = (vertical.first + v) * columns + horizontal.first;
        for (let h = 0; h < horizontal.weights.length; h++) {
          const label = source[start + h]!;
          if (label !== 0 && areas[label] === 0) seen.push(label);
          areas[label]! += vertical.weights[v]! * horizontal.weights[h]!;
        }
      }
      out[row * across.length + column] = largest(seen, areas);
      for (const label of seen) areas[label] = 0;
    }
  }
  return out;
}

function taps(
  { from, to, source, out }: AxisScale,
  growing: (place: number, from: number) => Pick<Tap, 'first' | 'weights'>,
): readonly Tap[] {
  const ratio = from / to;
  return Array.from({ length: out.count }, (_, index): Tap => {
    const place = out.first + index;
    return ratio <= 1 ? within(growing((place + 0.5) * ratio - 0.5, from), source) : areaTap(place, ratio, source);
  });
}

/** The slice's pixels that output pixel `index` covers, by the share of it that each covers. */
function areaTap(index: number, ratio: number, source: Range): Tap {
  const [start, end] = [index * ratio, (index + 1) * ratio];
  const first = Math.max(source.first, Math.floor(start + 1e-9));
  const last = Math.min(source.first + source.count, Math.ceil(end - 1e-9));
  const weights = Array.from({ length: Math.max(0, last - first) }, (_, t) => {
    const pixel = first + t;
    return (Math.min(end, pixel + 1) - Math.max(start, pixel)) / ratio;
  });
  const isAllInside = start > source.first - 1e-9 && end < source.first + source.count + 1e-9;
  const outside = isAllInside ? 0 : 1 - weights.reduce((sum, weight) => sum + weight, 0);
  return { first: first - source.first, weights, outside };
}

/** The part of a tap on the axis that lies in the slice, counted from the slice's first pixel. */
function within({ first, weights }: Pick<Tap, 'first' | 'weights'>, source: Range): Tap {
  const start = Math.max(0, source.first - first);
  const end = Math.max(start, Math.min(weights.length, source.first + source.count - first));
  const outside = weights.reduce((sum, weight, t) => (t < start || t >= end ? sum + weight : sum), 0);
  return { first: first + start - source.first, weights: weights.slice(start, end), outside };
}

function linearTap(place: number, from: number): Pick<Tap, 'first' | 'weights'> {
  const low = Math.floor(place);
  const fraction = place - low;
  if (low < 0) return { first: 0, weights: [1] };
  if (low >= from - 1 || fraction === 0) return { first: Math.min(low, from - 1), weights: [1] };
  return { first: low, weights: [1 - fraction, fraction] };
}

function nearestTap(place: number, from: number): Pick<Tap, 'first' | 'weights'> {
  return { first: Math.min(from - 1, Math.max(0, Math.round(place))), weights: [1] };
}

function largest(labels: readonly number[], areas: Float64Array): number {
  let best = labels[0]!;
  for (const label of labels) {
    const difference = areas[label]! - areas[best]!;
    // Areas are sums of rounded parts: equals are equal to rounding.
    if (difference > 1e-9 || (difference > -1e-9 && (best === 0 || (label !== 0 && label < best)))) best = label;
  }
  return best;
}

function checkSlice(source: VoxelArray, { down, across }: PlaneScale): void {
  const [rows, columns] = [down.source.count, across.source.count];
  if (source.length !== rows * columns) {
    throw new ImagingError(
      'bad-argument',
      `Expected a slice of ${rows} x ${columns} pixels, found ${source.length} values.`,
    );
  }
}
