import { affineColumn, sliceNormal, type Volume } from '@aaunet/imaging';

import type { Problem } from './report.js';

/** Lower than any adult head from the skull base to the vertex, mm. */
const LEAST_HEIGHT_MM = 100;
/** A top slice with more of the largest slice's soft tissue within bone than this has lost the vertex above it. */
const LARGEST_TOP_SHARE = 0.5;

/** Pixels of soft tissue and of bone in a slice of HU. */
function contentOf(hu: Int16Array): { soft: number; bone: number } {
  let [soft, bone] = [0, 0];
  for (const value of hu) {
    if (value > -20 && value < 100) soft++;
    if (value > 300) bone++;
  }
  return { soft, bone };
}

/**
 * Warnings where a scan cannot show the whole brain: the slices cover less than a head's height, or the top slice is still as
 * full as those in the middle.
 *
 * @param scan canonical HU: slices inferior to superior.
 */
export function coverageProblems(scan: Volume<Int16Array>): Problem[] {
  const { affine, slices, extents, rows, columns } = scan;
  const normal = sliceNormal(affine);
  const step = affineColumn(affine, 2);
  const along = Math.abs(step[0] * normal[0] + step[1] * normal[1] + step[2] * normal[2]);
  const height = extents ? extents.reduce((sum, extent) => sum + extent, 0) : along * slices;
  const problems: Problem[] = [];
  if (height < LEAST_HEIGHT_MM) {
    problems.push({
      code: 'incomplete-coverage',
      message: `The slices cover ${height.toFixed(0)} mm, less than a whole brain; what lies outside them is not assessed.`,
    });
  }
  const contents = Array.from({ length: slices }, (_, k) =>
    contentOf(scan.data.subarray(k * rows * columns, (k + 1) * rows * columns)),
  );
  const most = Math.max(...contents.map(({ soft }) => soft));
  const top = contents.at(-1)!;
  if (slices > 1 && top.bone > 0 && top.soft > LARGEST_TOP_SHARE * most) {
    problems.push({
      code: 'vertex-missing',
      message: 'The top slice is not the top of the head: brain above it is not assessed.',
    });
  }
  return problems;
}
