import { count, selectorOf, tiltDegrees, type AxisMap, type DicomSeries, type Volume } from '@aaunet/imaging';

import type { Masks } from './masks.js';

/** A series that can be chosen, by what asks for it. */
export interface SeriesOption {
  readonly selector: string;
  readonly name: string;
}

/** The series of the files that were opened last, and which of them is on view. */
export interface SeriesOffer {
  readonly options: readonly SeriesOption[];
  readonly chosen: string | undefined;
}

/** What the reader hands to the page: the scan in canonical order, and words about it. */
export interface Study {
  readonly name: string;
  readonly source: 'dicom' | 'nifti';
  readonly scan: Volume<Int16Array>;
  /** How label maps are brought back into the order of the source. */
  readonly map: AxisMap;
  readonly warnings: readonly string[];
  readonly series: SeriesOffer;
}

/** What files turned out to be: a scan, masks of the one that is open, or series of which none suits by itself. */
export type Opened =
  | ({ readonly kind: 'study' } & Study)
  | ({ readonly kind: 'masks' } & Masks)
  | { readonly kind: 'series'; readonly series: SeriesOffer };

/** The series in the words of a list, with the one chosen. */
export function seriesOffer(all: readonly DicomSeries[], chosen?: DicomSeries): SeriesOffer {
  const options = all.map((series) => ({
    selector: selectorOf(series, all),
    name: `${series.description || 'unnamed'} (${count(series.slices.length, 'slice')})`,
  }));
  return { options, chosen: chosen && selectorOf(chosen, all) };
}

/** Degrees of gantry tilt that nobody sees in the planes. */
const LEAST_TILT = 0.573;

/** Whether planes across the slices show true distances: not of a tilted gantry, nor where slices are unevenly spaced. */
export function isTrueToScale({ affine, positions }: Volume): boolean {
  return positions === undefined && tiltDegrees(affine) < LEAST_TILT;
}
