import type { AxisMap, DicomSeries, Volume } from '@aaunet/imaging';

import type { Masks } from './masks.js';

/** A series that can be chosen. */
export interface SeriesOption {
  readonly uid: string;
  readonly name: string;
}

/** What the reader hands to the page: the scan in canonical order, and words about it. */
export interface Study {
  readonly name: string;
  readonly source: 'dicom' | 'nifti';
  readonly scan: Volume<Int16Array>;
  /** How label maps are brought back into the order of the source. */
  readonly map: AxisMap;
  readonly warnings: readonly string[];
  readonly series: readonly SeriesOption[];
  readonly seriesUid: string | undefined;
}

/** What files turned out to be. */
export type Opened = ({ readonly kind: 'study' } & Study) | ({ readonly kind: 'masks' } & Masks);

/** A series in the words of a list. */
export function seriesOption({ uid, description, slices }: DicomSeries): SeriesOption {
  return { uid, name: `${description || 'unnamed'} (${slices.length} slices)` };
}
