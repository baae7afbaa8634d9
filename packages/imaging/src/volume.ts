/** Rows of a 4x4 matrix. */
export type Affine = readonly [
  readonly [number, number, number, number],
  readonly [number, number, number, number],
  readonly [number, number, number, number],
  readonly [number, number, number, number],
];

export type VoxelArray = Int16Array | Uint8Array | Float32Array | Float64Array;

/**
 * A scan or a label map with its geometry: the one type in which geometry travels.
 *
 * Voxel (column i, row j, slice k) is `data[(k * rows + j) * columns + i]`. Slices run along the acquisition axis, in
 * files of this project from inferior to superior.
 */
export interface Volume<T extends VoxelArray = VoxelArray> {
  /** Voxels, row-major [slices, rows, columns]: Hounsfield units of a scan (`Int16Array`), labels of a label map. */
  readonly data: T;
  readonly slices: number;
  readonly rows: number;
  readonly columns: number;
  /**
   * Voxel index (i, j, k, 1) to patient coordinates in mm, RAS+ as in NIfTI (DICOM's are LPS+). A gantry tilt appears
   * as shear: the third column is the step from one slice's first voxel to the next one's, not the slice normal.
   */
  readonly affine: Affine;
  /**
   * Where slices are unevenly spaced no affine can say where they lie: the true position (LPS+, mm, DICOM's Image
   * Position Patient) of each slice's first voxel, and the extent in mm along the slice normal that each slice stands
   * for, which is what volumes in mL are computed from. Absent when the affine says it all.
   */
  readonly positions?: readonly (readonly [number, number, number])[];
  readonly extents?: readonly number[];
}
