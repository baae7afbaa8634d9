import type { Volume } from '@aaunet/imaging';

import { alignMask, readInput } from '../datasets/align-mask.js';
import type { ImportedCase, Notes } from './importer.js';

/** Reads an image and its mask, brings the mask into the image's voxel order and gives its values Table I's numbers. */
export async function readPair(
  image: string,
  mask: string,
  labelOf: LabelMapping,
  notes: Notes,
): Promise<ImportedCase> {
  const scan = await readInput(image, 'image', notes);
  const marks = await readInput(mask, 'mask', notes);
  const aligned = alignMask(scan, marks, notes);
  return { image: aligned.image, labels: mapLabels(aligned.mask, labelOf) };
}

/** The label (0 to 8) of a mask's value; undefined where the mask should not hold it. */
export interface LabelMapping {
  readonly of: (value: number) => number | undefined;
  /** The values that are known, in words. */
  readonly known: string;
  /** Whether all values but 0 mean one thing, so that there may be only one of them. */
  readonly isBinary?: boolean;
}

/** A mapping of listed values, 0 being background where it is not listed. */
export function valueMapping(labels: Readonly<Record<number, number>>): LabelMapping {
  const known = new Map(Object.entries({ 0: 0, ...labels }).map(([value, label]) => [Number(value), label]));
  return { of: (value) => known.get(value), known: [...known.keys()].sort((a, b) => a - b).join(', ') };
}

/** A mask of one kind of thing: 0, and one other value (1, 255…), whatever it is. */
export function binaryMapping(label: number): LabelMapping {
  return { of: (value) => (value === 0 ? 0 : label), known: '0 and one other value', isBinary: true };
}

/** The mask's values as labels. @throws Error that names the values that are not known */
export function mapLabels(mask: Volume, mapping: LabelMapping): Volume<Uint8Array> {
  const labels = new Uint8Array(mask.data.length);
  const seen = new Map<number, number | undefined>();
  for (let index = 0; index < labels.length; index++) {
    const value = mask.data[index]!;
    if (value === 0) continue;
    if (!seen.has(value)) {
      seen.set(value, Number.isInteger(value) ? mapping.of(value) : undefined);
      if (seen.size > 300) break;
    }
    labels[index] = seen.get(value) ?? 0;
  }
  const foreign = [...seen].filter(([, label]) => label === undefined).map(([value]) => value);
  if (foreign.length > 0 || (mapping.isBinary === true && seen.size > 1)) {
    const list = (foreign.length > 0 ? foreign : [...seen.keys()]).sort((a, b) => a - b).slice(0, 8);
    throw new Error(`Expected a mask of the values ${mapping.known}, found ${list.join(', ')}.`);
  }
  return { ...mask, data: labels };
}
