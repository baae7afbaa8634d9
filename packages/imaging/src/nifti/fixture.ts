/** NIfTI files for tests, built from the standard's tables: any version, byte order and type, any field changed. */
export interface NiftiFixture {
  readonly version?: 1 | 2;
  readonly littleEndian?: boolean;
  readonly paired?: boolean;
  readonly dim?: readonly number[];
  readonly pixdim?: readonly number[];
  readonly datatype?: number;
  readonly voxelOffset?: number;
  readonly slope?: number;
  readonly intercept?: number;
  readonly units?: number;
  readonly qformCode?: number;
  readonly sformCode?: number;
  readonly quatern?: readonly number[];
  readonly srow?: readonly number[];
  readonly voxels?: readonly (number | bigint)[];
}

type Writer = (view: DataView, offset: number, value: number | bigint, littleEndian: boolean) => void;

/** By data type code: bytes a voxel and how one is written. */
export const WRITERS: Readonly<Record<number, readonly [bytes: number, write: Writer]>> = {
  2: [
    1,
    (view, offset, value) => {
      view.setUint8(offset, Number(value));
    },
  ],
  4: [
    2,
    (view, offset, value, little) => {
      view.setInt16(offset, Number(value), little);
    },
  ],
  8: [
    4,
    (view, offset, value, little) => {
      view.setInt32(offset, Number(value), little);
    },
  ],
  16: [
    4,
    (view, offset, value, little) => {
      view.setFloat32(offset, Number(value), little);
    },
  ],
  64: [
    8,
    (view, offset, value, little) => {
      view.setFloat64(offset, Number(value), little);
    },
  ],
  256: [
    1,
    (view, offset, value) => {
      view.setInt8(offset, Number(value));
    },
  ],
  512: [
    2,
    (view, offset, value, little) => {
      view.setUint16(offset, Number(value), little);
    },
  ],
  768: [
    4,
    (view, offset, value, little) => {
      view.setUint32(offset, Number(value), little);
    },
  ],
  1024: [
    8,
    (view, offset, value, little) => {
      view.setBigInt64(offset, BigInt(value), little);
    },
  ],
  1280: [
    8,
    (view, offset, value, little) => {
      view.setBigUint64(offset, BigInt(value), little);
    },
  ],
};

/** A header of the version asked for; `header` and `voxels` of a pair, or both in one as `file`. */
export function niftiFixture(options: NiftiFixture = {}): { file: Uint8Array; header: Uint8Array; voxels: Uint8Array } {
  const { version = 1, littleEndian = true, paired = false, datatype = 4 } = options;
  const { dim = [3, 2, 2, 1, 1, 1, 1, 1], voxels = [0, 1, 2, 3] } = options;
  const size = version === 1 ? 348 : 540;
  const offset = options.voxelOffset ?? (paired ? 0 : size + 4);
  const [width, write] = WRITERS[datatype] ?? [2, WRITERS[4]![1]];
  const header = new Uint8Array(paired ? size : offset);
  const view = new DataView(header.buffer);
  const put = fieldWriter(view, version, littleEndian);
  view.setInt32(0, size, littleEndian);
  const magic = `${paired ? 'ni' : 'n+'}${version}\0${version === 2 ? '\r\n\x1a\n' : ''}`;
  header.set(
    Uint8Array.from(magic, (character) => character.charCodeAt(0)),
    version === 1 ? 344 : 4,
  );
  put.integers(version === 1 ? 40 : 16, dim);
  view.setInt16(version === 1 ? 70 : 12, datatype, littleEndian);
  view.setInt16(version === 1 ? 72 : 14, width * 8, littleEndian);
  put.floats(version === 1 ? 76 : 104, options.pixdim ?? [1, 0.5, 0.5, 5, 1, 1, 1, 1]);
  if (version === 1) view.setFloat32(108, offset, littleEndian);
  else view.setBigInt64(168, BigInt(offset), littleEndian);
  put.floats(version === 1 ? 112 : 176, [options.slope ?? 1, options.intercept ?? 0]);
  if (version === 1) view.setUint8(123, options.units ?? 2);
  else view.setInt32(500, options.units ?? 2, littleEndian);
  put.codes(version === 1 ? 252 : 344, [options.qformCode ?? 0, options.sformCode ?? 1]);
  put.floats(version === 1 ? 256 : 352, options.quatern ?? [0, 0, 0, 0, 0, 0]);
  put.floats(version === 1 ? 280 : 400, options.srow ?? [-0.5, 0, 0, 10, 0, -0.5, 0, 20, 0, 0, 5, -30]);
  const body = new Uint8Array(voxels.length * width + (paired ? offset : 0));
  const bodyView = new DataView(body.buffer);
  voxels.forEach((value, index) => {
    write(bodyView, (paired ? offset : 0) + index * width, value, littleEndian);
  });
  return { file: Uint8Array.from([...header, ...body]), header, voxels: body };
}

function fieldWriter(view: DataView, version: 1 | 2, littleEndian: boolean) {
  return {
    integers(offset: number, values: readonly number[]): void {
      values.forEach((value, index) => {
        if (version === 1) view.setInt16(offset + 2 * index, value, littleEndian);
        else view.setBigInt64(offset + 8 * index, BigInt(value), littleEndian);
      });
    },
    codes(offset: number, values: readonly number[]): void {
      values.forEach((value, index) => {
        if (version === 1) view.setInt16(offset + 2 * index, value, littleEndian);
        else view.setInt32(offset + 4 * index, value, littleEndian);
      });
    },
    floats(offset: number, values: readonly number[]): void {
      values.forEach((value, index) => {
        if (version === 1) view.setFloat32(offset + 4 * index, value, littleEndian);
        else view.setFloat64(offset + 8 * index, value, littleEndian);
      });
    },
  };
}
