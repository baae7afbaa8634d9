import { CLASS_COUNT } from './labels.js';
import { ImagingError } from './imaging-error.js';
import { toInt16 } from './round.js';
import type { Volume } from './volume.js';

/** The volume as a scan in whole Hounsfield units: rounded (halves to even) and clamped to int16, NaN becomes air (-1024 HU). */
export function toHuVolume(volume: Volume): Volume<Int16Array> {
  const { data } = volume;
  if (data instanceof Int16Array) return { ...volume, data };
  const hu = new Int16Array(data.length);
  for (let index = 0; index < data.length; index++) {
    const value = data[index]!;
    hu[index] = Number.isNaN(value) ? -1024 : toInt16(value);
  }
  return { ...volume, data: hu };
}

/** The volume as a label map; throws where a voxel is no whole number from 0 to `classes` - 1. */
export function toLabelVolume(volume: Volume, classes: number = CLASS_COUNT): Volume<Uint8Array> {
  const { data } = volume;
  const labels = data instanceof Uint8Array ? data : new Uint8Array(data.length);
  for (let index = 0; index < data.length; index++) {
    const value = data[index]!;
    if (!Number.isInteger(value) || value < 0 || value >= classes) {
      throw new ImagingError(
        'bad-argument',
        `Expected labels from 0 to ${classes - 1}, found the value ${value} in the label map.`,
      );
    }
    labels[index] = value;
  }
  return { ...volume, data: labels };
}
