import type { Lineage } from '../datasets/dataset.js';

/** Ids of the RSNA 2019 challenge, from which BHSD, MBH-Seg and HemSeg took their scans. */
export const RSNA = 'rsna-2019';
export const CQ500 = 'cq500';

/** Patient and study in a name such as `ID_0a1b2c3d_ID_0123456789`; undefined where there are none. */
export function rsnaLineage(name: string): Lineage | undefined {
  const ids = /(ID_[0-9a-f]{6,12})[_-](ID_[0-9a-f]{6,12})/i.exec(name);
  return ids ? { source: RSNA, patient: ids[1]!, study: ids[2]! } : undefined;
}

/** The scan's number in a name such as `CQ500-CT-12` or `CQ500CT12 CQ500CT12`; undefined where there is none. */
export function cq500Lineage(name: string): Lineage | undefined {
  const number = /CQ500-?CT-?(\d+)/i.exec(name)?.[1];
  return number === undefined ? undefined : { source: CQ500, patient: `CQ500-CT-${Number(number)}` };
}
