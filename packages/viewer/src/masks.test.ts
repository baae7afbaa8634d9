import { toCanonical, writeNifti, type Volume } from '@aaunet/imaging';
import { describe, expect, it } from 'vitest';

import { readMasks } from './masks.js';

/** Columns from right to left, rows from front to back: as canonical scans are. */
const SCAN: Volume<Int16Array> = {
  data: Int16Array.from({ length: 2 * 4 * 6 }, (_, index) => index * 30 - 1000),
  columns: 6,
  rows: 4,
  slices: 2,
  affine: [
    [-0.5, 0, 0, 3],
    [0, -0.5, 0, 4],
    [0, 0, 5, 5],
    [0, 0, 0, 1],
  ],
};
const labels = Uint8Array.from(SCAN.data, (_, index) => index % 8);

describe('readMasks', () => {
  it('reads a label map of the open scan, also with its axes turned', () => {
    expect(readMasks('nifti', writeNifti({ ...SCAN, data: labels }), SCAN)).toEqual({ labels, warnings: [] });
    // The same voxels stored from left to right.
    const turned = Uint8Array.from(labels, (_, index) => labels[index - (index % 6) + 5 - (index % 6)]!);
    const affine: Volume['affine'] = [[0.5, 0, 0, 0.5], ...SCAN.affine.slice(1)] as unknown as Volume['affine'];
    expect(toCanonical({ ...SCAN, affine, data: turned }).volume.data).toEqual(labels);
    expect(readMasks('nifti', writeNifti({ ...SCAN, affine, data: turned }), SCAN)?.labels).toEqual(labels);
  });

  it('takes a scan for a scan, and no DICOM for nothing', () => {
    expect(readMasks('nifti', writeNifti(SCAN), SCAN)).toBeUndefined();
    expect(readMasks('dicom', new TextEncoder().encode('hello'), SCAN)).toBeUndefined();
  });

  it('refuses masks of another scan', () => {
    const other = { ...SCAN, slices: 1, data: labels.slice(0, 24) };
    expect(() => readMasks('nifti', writeNifti(other), SCAN)).toThrow(
      'of 6 x 4 x 2 voxels as the open scan has, found 6 x 4 x 1',
    );
    const affine: Volume['affine'] = [[-0.5, 0, 0, 4.5], ...SCAN.affine.slice(1)] as unknown as Volume['affine'];
    expect(() => readMasks('nifti', writeNifti({ ...SCAN, affine, data: labels }), SCAN)).toThrow('1.5 mm beside it');
  });
});
