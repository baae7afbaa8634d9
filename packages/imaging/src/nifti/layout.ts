/** Where the fields of NIfTI-1 and NIfTI-2 headers lie: the one place that knows offsets. */
export type NiftiVersion = 1 | 2;

export const HEADER_BYTES = 348;
export const HEADER_BYTES_2 = 540;

/** The fields that this package reads, as numbers, whatever version and byte order they were stored in. */
export interface FieldReader {
  readonly dim: (index: number) => number;
  readonly datatype: number;
  readonly bitpix: number;
  readonly pixdim: (index: number) => number;
  readonly voxelOffset: number;
  readonly slope: number;
  readonly intercept: number;
  readonly units: number;
  readonly descriptionAt: number;
  readonly qformCode: number;
  readonly sformCode: number;
  /** b, c, d, then the offsets x, y, z. */
  readonly quatern: (index: number) => number;
  /** The three rows of the sform, four values each. */
  readonly srow: (index: number) => number;
}

type Layout = (view: DataView, littleEndian: boolean) => FieldReader;

const nifti1: Layout = (view, little) => {
  const float = (offset: number): number => view.getFloat32(offset, little);
  return {
    dim: (index) => view.getInt16(40 + 2 * index, little),
    datatype: view.getInt16(70, little),
    bitpix: view.getInt16(72, little),
    pixdim: (index) => float(76 + 4 * index),
    voxelOffset: float(108),
    slope: float(112),
    intercept: float(116),
    units: view.getUint8(123),
    descriptionAt: 148,
    qformCode: view.getInt16(252, little),
    sformCode: view.getInt16(254, little),
    quatern: (index) => float(256 + 4 * index),
    srow: (index) => float(280 + 4 * index),
  };
};

const nifti2: Layout = (view, little) => {
  const float = (offset: number): number => view.getFloat64(offset, little);
  const integer = (offset: number): number => Number(view.getBigInt64(offset, little));
  return {
    dim: (index) => integer(16 + 8 * index),
    datatype: view.getInt16(12, little),
    bitpix: view.getInt16(14, little),
    pixdim: (index) => float(104 + 8 * index),
    voxelOffset: integer(168),
    slope: float(176),
    intercept: float(184),
    units: view.getInt32(500, little) & 255,
    descriptionAt: 240,
    qformCode: view.getInt32(344, little),
    sformCode: view.getInt32(348, little),
    quatern: (index) => float(352 + 8 * index),
    srow: (index) => float(400 + 8 * index),
  };
};

export const FIELDS: Readonly<Record<NiftiVersion, Layout>> = { 1: nifti1, 2: nifti2 };
