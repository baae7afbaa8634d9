import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  affineFromColumns,
  affineFromDicom,
  flipLpsRas,
  patientToVoxel,
  sliceExtents,
  sliceNormal,
  spacingOf,
  tiltDegrees,
  voxelToPatient,
  voxelVolumeMl,
  voxelVolumesMl,
  type Vector3,
} from './affine.js';

/** A stack as a gantry tilted by `degrees` makes it: slices lean, the table moves along z. */
function tilted(degrees: number, tableStep = 5, slices = 4): ReturnType<typeof affineFromDicom> {
  const angle = (degrees * Math.PI) / 180;
  return affineFromDicom({
    orientation: [1, 0, 0, 0, Math.cos(angle), -Math.sin(angle)],
    rowSpacing: 0.5,
    columnSpacing: 0.4,
    positions: Array.from({ length: slices }, (_, k): Vector3 => [-100, -120, 10 + k * tableStep]),
  });
}

describe('affines', () => {
  it('puts a DICOM voxel where DICOM says, in RAS', () => {
    const affine = tilted(0);
    expect(voxelToPatient(affine, 0, 0, 0)).toEqual([100, 120, 10]);
    const [x, y, z] = voxelToPatient(affine, 10, 20, 3);
    expect([x, y, z]).toEqual([100 - 4, 120 - 10, 25]);
    expect(spacingOf(affine)).toEqual([0.4, 0.5, 5]);
    expect(sliceNormal(affine)).toEqual([0, 0, 1]);
  });

  it('keeps the gantry tilt as shear: angle, and a voxel volume that shrinks with its cosine', () => {
    for (const degrees of [0, 0.01, 7.5, 18.5, 30, -18.5]) {
      const affine = tilted(degrees);
      expect(tiltDegrees(affine)).toBeCloseTo(Math.abs(degrees), 9);
      expect(voxelVolumeMl(affine)).toBeCloseTo((0.4 * 0.5 * 5 * Math.cos((degrees * Math.PI) / 180)) / 1000, 12);
    }
  });

  it('steps a single slice by its thickness along the normal', () => {
    const affine = affineFromDicom({
      orientation: [1, 0, 0, 0, 1, 0],
      rowSpacing: 1,
      columnSpacing: 1,
      positions: [[1, 2, 3]],
      thickness: 7,
    });
    expect(affine).toEqual(affineFromColumns([-1, 0, 0], [0, -1, 0], [0, 0, 7], [-1, -2, 3]));
  });

  it('inverts: patientToVoxel undoes voxelToPatient, LPS to RAS undoes itself', () => {
    const number = fc.double({ min: -200, max: 200, noNaN: true });
    fc.assert(
      fc.property(fc.double({ min: -30, max: 30, noNaN: true }), number, number, number, (degrees, i, j, k) => {
        const affine = tilted(degrees);
        patientToVoxel(affine, voxelToPatient(affine, i, j, k)).forEach((value, axis) => {
          expect(value).toBeCloseTo([i, j, k][axis]!, 6);
        });
        expect(flipLpsRas(flipLpsRas([i, j, k]))).toEqual([i + 0, j + 0, k]);
      }),
    );
  });
});

describe('slice extents', () => {
  it('give each slice half the distance to each neighbour, and the end slices their one step', () => {
    expect(sliceExtents([0, 4, 8, 9, 16])).toEqual([4, 4, 2.5, 4, 7]);
    expect(sliceExtents([16, 9, 8, 4, 0])).toEqual([7, 4, 2.5, 4, 4]);
    expect(sliceExtents([3], [5])).toEqual([5]);
    expect(() => sliceExtents([0, 1, 1])).toThrow('strict order');
    expect(() => sliceExtents([0, 2, 1])).toThrow('strict order');
  });

  it('reach into a gap by half the thickness alone, so that mL do not count what nobody has seen', () => {
    const five = [5, 5, 5, 5, 5];
    // Two slices are missing between 10 and 25.
    expect(sliceExtents([0, 5, 10, 25, 30], five)).toEqual([5, 5, 5, 5, 5]);
    expect(sliceExtents([30, 25, 10, 5, 0], five)).toEqual([5, 5, 5, 5, 5]);
    expect(sliceExtents([0, 5, 10, 25, 30])).toEqual([5, 5, 10, 10, 5]);
    // Of unknown thickness the median step stands in; at the end of a stack, too.
    expect(sliceExtents([0, 5, 10, 15, 30], [])).toEqual([5, 5, 5, 5, 5]);
    // Up to 1.5 times is no gap, and neither is a long step between slices that are as thick.
    expect(sliceExtents([0, 5, 10, 17, 22], five)).toEqual([5, 5, 6, 6, 5]);
    expect(sliceExtents([0, 4, 8, 12, 16, 24, 32], [4, 4, 4, 4, 8, 8, 8])).toEqual([4, 4, 4, 4, 6, 8, 8]);
    // Thin slices far apart stand for their step, as they do where steps are equal.
    expect(sliceExtents([0, 10, 20, 40, 50], [1, 1, 1, 1, 1])).toEqual([10, 10, 10, 10, 10]);
  });

  it('cover the stack without gap or overlap, and are the step where steps are equal', () => {
    const steps = fc.array(fc.double({ min: 0.1, max: 10, noNaN: true }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(steps, (list) => {
        const offsets = list.reduce((all, step) => [...all, all.at(-1)! + step], [0]);
        const sum = sliceExtents(offsets).reduce((total, extent) => total + extent, 0);
        expect(sum).toBeCloseTo(offsets.at(-1)! + (list[0]! + list.at(-1)!) / 2, 9);
      }),
    );
    expect(sliceExtents([0, 5, 10, 15])).toEqual([5, 5, 5, 5]);
  });

  it('decide the mL where steps are uneven, under a tilt too', () => {
    const affine = tilted(18.5, 5, 3);
    expect(voxelVolumesMl({ affine, slices: 3 })[1]).toBeCloseTo(voxelVolumeMl(affine), 12);
    const uneven = voxelVolumesMl({ affine, slices: 3, extents: [4, 2.5, 7] });
    expect(Array.from(uneven)).toEqual(
      [4, 2.5, 7].map((extent) => expect.closeTo((0.2 * extent) / 1000, 12) as number),
    );
    expect(() => voxelVolumesMl({ affine, slices: 3, extents: [1] })).toThrow('3 slice extents');
  });
});
