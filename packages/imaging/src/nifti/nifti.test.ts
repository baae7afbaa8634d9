import { gzipSync } from 'node:zlib';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { affineDeterminant } from '../affine.js';
import { toHuVolume } from '../convert.js';
import { ImagingError } from '../imaging-error.js';
import type { Affine, Volume } from '../volume.js';
import { readNifti } from './read.js';
import { writeNifti, writeNiftiGz } from './write.js';

const AFFINE: Affine = [
  [-0.5, 0, 0, 120],
  [0, -0.5, 1.25, 100.5],
  [0, 0.125, 4, -60],
  [0, 0, 0, 1],
];

function volumeOf(data: Volume['data'], columns: number, rows: number, slices: number, affine = AFFINE): Volume {
  return { data, columns, rows, slices, affine };
}

const SMALL = volumeOf(
  Int16Array.from({ length: 24 }, (_, index) => index * 100 - 1024),
  4,
  3,
  2,
);

/** A writable copy of the small file, with its header as a view. */
function smallFile(): { bytes: Uint8Array; view: DataView } {
  const bytes = writeNifti(SMALL);
  return { bytes, view: new DataView(bytes.buffer) };
}

/** The file with every multi-byte field of header and voxels in big-endian order, as an old workstation wrote it. */
function bigEndian(bytes: Uint8Array, voxelWidth: number): Uint8Array {
  const swapped = bytes.slice();
  const swap = (start: number, end: number, width: number): void => {
    for (let at = start; at < end; at += width) swapped.subarray(at, at + width).reverse();
  };
  swap(0, 4, 4);
  swap(40, 56, 2);
  swap(56, 68, 4);
  swap(68, 76, 2);
  swap(76, 120, 4);
  swap(252, 256, 2);
  swap(256, 328, 4);
  swap(352, swapped.length, voxelWidth);
  return swapped;
}

const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof ImagingError) return error.code;
    throw error;
  }
  return 'none';
};

describe('NIfTI round trip', () => {
  it('keeps voxels, sizes and a sheared affine exactly, plain and compressed', () => {
    for (const bytes of [writeNifti(SMALL), writeNiftiGz(SMALL), gzipSync(writeNifti(SMALL))]) {
      const { volume, header } = readNifti(bytes);
      expect(volume).toEqual(SMALL);
      expect(volume.data).toBeInstanceOf(Int16Array);
      expect(header.affineFrom).toBe('sform');
    }
  });

  it('keeps any affine to float32 and any voxels of the three types', () => {
    const finite = fc.float({ noNaN: true, noDefaultInfinity: true, min: -300, max: 300 });
    const row = fc.tuple(finite, finite, finite, finite);
    const shape = fc.tuple(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 4 }),
    );
    const make = [Int16Array, Uint8Array, Float32Array] as const;
    fc.assert(
      fc.property(
        row,
        row,
        row,
        shape,
        fc.integer({ min: 0, max: 2 }),
        fc.integer(),
        (x, y, z, [c, r, s], type, seed) => {
          const affine: Affine = [x, y, z, [0, 0, 0, 1]];
          fc.pre(Math.abs(affineDeterminant(affine)) > 1e-6);
          const data = new make[type]!(Array.from({ length: c * r * s }, (_, index) => (seed % 1000) + index * 7));
          const { volume } = readNifti(writeNifti(volumeOf(data, c, r, s, affine)));
          expect(volume.data).toEqual(data);
          expect(volume.affine.flat().map((value) => value + 0)).toEqual(
            affine.flat().map((value) => Math.fround(value) + 0),
          );
        },
      ),
    );
  });

  it('writes a qform that says the same as the sform for every rotation and handedness', () => {
    const part = fc.double({ min: -1, max: 1, noNaN: true });
    fc.assert(
      fc.property(part, part, part, part, fc.boolean(), (a, b, c, d, mirrored) => {
        const length = Math.hypot(a, b, c, d);
        fc.pre(length > 0.1);
        const affine = rotation([a / length, b / length, c / length, d / length], [0.5, 0.75, 5], mirrored);
        const bytes = writeNifti({ ...SMALL, affine });
        const view = new DataView(bytes.buffer);
        expect(view.getInt16(252, true)).toBe(1);
        view.setInt16(254, 0, true);
        const { volume, header } = readNifti(bytes);
        expect(header.affineFrom).toBe('qform');
        volume.affine.flat().forEach((value, index) => {
          // Near half a turn float32 holds the quaternion's real part to 6e-4 only.
          expect(Math.abs(value - affine.flat()[index]!)).toBeLessThan(0.01);
        });
      }),
    );
  });

  it('writes no qform for a tilted stack, which no rotation can describe', () => {
    expect(smallFile().view.getInt16(252, true)).toBe(0);
  });
});

function rotation([a, b, c, d]: [number, number, number, number], [x, y, z]: number[], mirrored: boolean): Affine {
  const k = mirrored ? -z! : z!;
  return [
    [(a * a + b * b - c * c - d * d) * x!, 2 * (b * c - a * d) * y!, 2 * (b * d + a * c) * k, 10],
    [2 * (b * c + a * d) * x!, (a * a + c * c - b * b - d * d) * y!, 2 * (c * d - a * b) * k, -20],
    [2 * (b * d - a * c) * x!, 2 * (c * d + a * b) * y!, (a * a + d * d - b * b - c * c) * k, 30],
    [0, 0, 0, 1],
  ];
}

describe('NIfTI as others write it', () => {
  it('reads big-endian files', () => {
    expect(readNifti(bigEndian(writeNifti(SMALL), 2)).volume).toEqual(SMALL);
  });

  it('reads every integer and float type into the narrowest one that holds its values', () => {
    const cases = [
      { code: 256, width: 1, array: Int8Array.of(-1, 0, 127, -128), found: Int16Array },
      { code: 512, width: 2, array: Uint16Array.of(0, 1, 32767, 5), found: Int16Array },
      { code: 512, width: 2, array: Uint16Array.of(0, 1, 65535, 5), found: Float32Array },
      { code: 8, width: 4, array: Int32Array.of(-32768, 0, 1, 32767), found: Int16Array },
      { code: 8, width: 4, array: Int32Array.of(-32769, 0, 1, 2), found: Float32Array },
      { code: 768, width: 4, array: Uint32Array.of(0, 70000, 1, 2), found: Float32Array },
      { code: 768, width: 4, array: Uint32Array.of(0, 2 ** 24 + 1, 1, 2), found: Float64Array },
      { code: 64, width: 8, array: Float64Array.of(0.5, -1.25, NaN, 2), found: Float32Array },
      { code: 64, width: 8, array: Float64Array.of(0.1, -1.25, 1e6, 2), found: Float64Array },
    ];
    for (const { code, width, array, found } of cases) {
      const bytes = new Uint8Array(352 + array.byteLength);
      bytes.set(writeNifti(volumeOf(new Uint8Array(4), 2, 2, 1)).subarray(0, 352));
      const view = new DataView(bytes.buffer);
      view.setInt16(70, code, true);
      view.setInt16(72, width * 8, true);
      bytes.set(new Uint8Array(array.buffer), 352);
      const { volume } = readNifti(bytes);
      expect(volume.data).toBeInstanceOf(found);
      expect(Array.from(volume.data)).toEqual(Array.from(array));
      expect(readNifti(bigEndian(bytes, width)).volume).toEqual(volume);
    }
  });

  it('applies slope and intercept, and takes 0 and NaN slopes for none', () => {
    const { bytes, view } = smallFile();
    const scaled = (slope: number, intercept: number): Volume['data'] => {
      view.setFloat32(112, slope, true);
      view.setFloat32(116, intercept, true);
      return readNifti(bytes).volume.data;
    };
    expect(scaled(2, -10)).toEqual(SMALL.data.map((value) => value * 2 - 10));
    expect(scaled(0.5, 0)).toEqual(Float32Array.from(SMALL.data, (value) => value / 2));
    for (const none of [0, NaN, Infinity]) expect(scaled(none, 5)).toEqual(SMALL.data);
  });

  it('scales in double precision, as nibabel does: in single a value just above a half would round down', () => {
    const { bytes, view } = smallFile();
    view.setFloat32(112, 0.1, true);
    view.setFloat32(116, 0, true);
    view.setInt16(352, 5, true);
    const { volume } = readNifti(bytes);
    // 0.1 in single precision is 0.10000000149, which makes 0.50000000745.
    expect(volume.data[0]).toBe(5 * Math.fround(0.1));
    expect(toHuVolume(volume).data[0]).toBe(1);
  });

  it('converts metres and micrometres to millimetres', () => {
    const { bytes, view } = smallFile();
    view.setUint8(123, 1);
    expect(readNifti(bytes).volume.affine[0][0]).toBe(-500);
    view.setUint8(123, 3);
    expect(readNifti(bytes).volume.affine[0][0]).toBe(-0.0005);
  });

  it('skips header extensions and ignores a little padding at the end', () => {
    const bytes = writeNifti(SMALL);
    const longer = new Uint8Array(bytes.length + 64 + 100);
    longer.set(bytes.subarray(0, 352));
    longer.set(bytes.subarray(352), 352 + 64);
    new DataView(longer.buffer).setFloat32(108, 352 + 64, true);
    expect(readNifti(longer).volume).toEqual(SMALL);
  });
});

describe('hostile NIfTI', () => {
  it('refuses what is no single NIfTI-1 volume, each with its code', () => {
    expect(codeOf(() => readNifti(new Uint8Array(0)))).toBe('truncated');
    expect(codeOf(() => readNifti(new Uint8Array(400)))).toBe('not-nifti');
    const changed = (change: (view: DataView) => void): string => {
      const { bytes, view } = smallFile();
      change(view);
      return codeOf(() => readNifti(bytes));
    };
    expect(
      changed((view) => {
        view.setInt32(0, 540, true);
      }),
    ).toBe('truncated');
    expect(
      changed((view) => {
        view.setUint8(345, 'i'.charCodeAt(0));
      }),
    ).toBe('unsupported');
    expect(
      changed((view) => {
        view.setInt16(70, 32, true);
      }),
    ).toBe('unsupported');
    expect(
      changed((view) => {
        view.setInt16(72, 8, true);
      }),
    ).toBe('bad-nifti');
    expect(
      changed((view) => {
        view.setInt16(40, 9, true);
      }),
    ).toBe('bad-nifti');
    expect(
      changed((view) => {
        view.setInt16(42, -4, true);
      }),
    ).toBe('bad-nifti');
    expect(
      changed((view) => {
        view.setInt16(40, 4, true);
        view.setInt16(48, 3, true);
      }),
    ).toBe('unsupported');
    expect(
      changed((view) => {
        view.setFloat32(108, NaN, true);
      }),
    ).toBe('bad-nifti');
    expect(
      changed((view) => {
        view.setFloat32(108, 0, true);
      }),
    ).toBe('bad-nifti');
    expect(
      changed((view) => {
        view.setInt16(46, 3, true);
      }),
    ).toBe('truncated');
    expect(
      changed((view) => {
        for (const at of [42, 44, 46]) view.setInt16(at, 32767, true);
      }),
    ).toBe('too-large');
  });

  it('refuses a small gzip file whose header promises more than deflate can hold, before allocating', () => {
    const { bytes, view } = smallFile();
    view.setInt16(42, 32767, true);
    view.setInt16(44, 10000, true);
    expect(codeOf(() => readNifti(gzipSync(bytes)))).toBe('truncated');
  });

  it('refuses a gzip bomb behind an honest header', () => {
    const bomb = new Uint8Array(50_000_000);
    bomb.set(writeNifti(SMALL));
    expect(codeOf(() => readNifti(gzipSync(bomb)))).toBe('bad-nifti');
  });

  it('refuses damaged and truncated gzip files', () => {
    const noisy = volumeOf(
      Int16Array.from({ length: 5000 }, (_, index) => (index * 7919) % 3001),
      100,
      50,
      1,
    );
    const packed = gzipSync(writeNifti(noisy));
    expect(codeOf(() => readNifti(packed.subarray(0, packed.length >> 1)))).toBe('bad-nifti');
    const wrong = Uint8Array.from(packed);
    wrong[packed.length - 6]! ^= 255;
    expect(codeOf(() => readNifti(wrong))).toBe('bad-nifti');
  });

  it('answers thousands of mutated files with a volume or an ImagingError', () => {
    const base = [writeNifti(SMALL), writeNiftiGz(SMALL)];
    const edit = fc.tuple(fc.double({ min: 0, max: 0.9999, noNaN: true }), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.array(edit, { minLength: 1, maxLength: 8 }),
        fc.option(fc.nat(400)),
        (packed, edits, cut) => {
          const bytes = base[packed ? 1 : 0]!.slice();
          for (const [place, value] of edits) bytes[Math.floor(place * Math.min(bytes.length, 360))] = value;
          try {
            const { volume } = readNifti(cut === null ? bytes : bytes.subarray(0, cut), { maxBytes: 2 ** 24 });
            expect(volume.data.length).toBe(volume.columns * volume.rows * volume.slices);
          } catch (error) {
            expect(error).toBeInstanceOf(ImagingError);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});
