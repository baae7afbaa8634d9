import { affineColumn, affineFromColumns, cross, dot, norm, scale, type Vector3 } from '../affine.js';
import type { Affine } from '../volume.js';

/** NIfTI's qform: a rotation as unit quaternion (b, c, d; a >= 0 follows), an offset, spacings and the sign of axis k. */
export interface Qform {
  readonly quaternion: Vector3;
  readonly offset: Vector3;
  readonly spacing: Vector3;
  readonly handedness: 1 | -1;
}

/** 1 - (b² + c² + d²) below this is float32 rounding of a rotation by 180 degrees, where the real part is 0. */
const ROUNDING = 3 * 2 ** -23;

/** The affine of a qform, as in the NIfTI-1 standard's "method 2". */
export function affineFromQuaternion({ quaternion, offset, spacing, handedness }: Qform): Affine {
  let [b, c, d] = quaternion;
  const square = b * b + c * c + d * d;
  let a = 0;
  if (square > 1 - ROUNDING) {
    const length = Math.sqrt(square);
    [b, c, d] = [b / length, c / length, d / length];
  } else {
    a = Math.sqrt(1 - square);
  }
  return affineFromColumns(
    scale([a * a + b * b - c * c - d * d, 2 * (b * c + a * d), 2 * (b * d - a * c)], spacing[0]),
    scale([2 * (b * c - a * d), a * a + c * c - b * b - d * d, 2 * (c * d + a * b)], spacing[1]),
    scale([2 * (b * d + a * c), 2 * (c * d - a * b), a * a + d * d - b * b - c * c], spacing[2] * handedness),
    offset,
  );
}

/** The qform of an affine whose columns are at right angles; undefined where they are not (a tilt has no qform). */
export function qformOf(affine: Affine): Qform | undefined {
  const columns = [affineColumn(affine, 0), affineColumn(affine, 1), affineColumn(affine, 2)] as const;
  const spacing: Vector3 = [norm(columns[0]), norm(columns[1]), norm(columns[2])];
  const i = scale(columns[0], 1 / spacing[0]);
  const j = scale(columns[1], 1 / spacing[1]);
  let k = scale(columns[2], 1 / spacing[2]);
  const worst = Math.max(Math.abs(dot(i, j)), Math.abs(dot(i, k)), Math.abs(dot(j, k)));
  if (!(worst < 1e-5)) return undefined;
  const handedness = dot(cross(i, j), k) < 0 ? -1 : 1;
  k = scale(k, handedness);
  return { quaternion: quaternionOf(i, j, k), offset: affineColumn(affine, 3), spacing, handedness };
}

/** (b, c, d) of the rotation with these columns, divided by its largest component, where precision is best. */
function quaternionOf(i: Vector3, j: Vector3, k: Vector3): Vector3 {
  const squares = [
    1 + i[0] + j[1] + k[2],
    1 + i[0] - j[1] - k[2],
    1 - i[0] + j[1] - k[2],
    1 - i[0] - j[1] + k[2],
  ] as const;
  const largest = squares.indexOf(Math.max(...squares));
  const root = Math.sqrt(squares[largest]!) * 2;
  let quaternion: [number, number, number, number];
  if (largest === 0) quaternion = [root / 4, (j[2] - k[1]) / root, (k[0] - i[2]) / root, (i[1] - j[0]) / root];
  else if (largest === 1) quaternion = [(j[2] - k[1]) / root, root / 4, (j[0] + i[1]) / root, (k[0] + i[2]) / root];
  else if (largest === 2) quaternion = [(k[0] - i[2]) / root, (j[0] + i[1]) / root, root / 4, (k[1] + j[2]) / root];
  else quaternion = [(i[1] - j[0]) / root, (k[0] + i[2]) / root, (k[1] + j[2]) / root, root / 4];
  const [a, b, c, d] = quaternion;
  return a < 0 ? [0 - b, 0 - c, 0 - d] : [b, c, d];
}
