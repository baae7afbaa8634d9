import {
  affineColumn,
  affineFromColumns,
  cross,
  dot,
  flipLpsRas,
  norm,
  normalize,
  patientToVoxel,
  scale,
  subtract,
  voxelToPatient,
  type Vector3,
} from '../affine.js';
import { ImagingError } from '../imaging-error.js';
import type { Volume } from '../volume.js';
import { functionalGroups, type FunctionalGroups } from './functional-groups.js';
import { parseDicom, type DicomFile } from './parse.js';
import type { Orientation } from './slice.js';
import { LABEL_MAP_SEGMENTATION_STORAGE, SEGMENTATION_STORAGE, TAG } from './tags.js';

const MAX_FRAMES = 100_000;

/** A segment as the object describes it. */
export interface DicomSegment {
  readonly number: number;
  readonly label: string;
}

/** One frame: where a segment is in one plane. */
export interface DicomSegmentFrame {
  /** Segment that it belongs to; undefined in a label map, whose values are segment numbers. */
  readonly segment: number | undefined;
  readonly orientation: Orientation;
  /** Image Position Patient of the first pixel, LPS+ mm. */
  readonly position: Vector3;
  /** Millimetres between rows and between columns. */
  readonly rowSpacing: number;
  readonly columnSpacing: number;
}

/** A DICOM SEG object (binary, fractional or label map), its frames not yet placed anywhere. */
export interface DicomSegmentation {
  readonly segments: readonly DicomSegment[];
  readonly rows: number;
  readonly columns: number;
  readonly frames: readonly DicomSegmentFrame[];
  /** Pixels of frame f, [rows, columns]: 1 inside a segment; segment numbers in a label map. */
  readonly pixels: (f: number) => Uint8Array | Uint16Array;
}

const bad = (message: string): ImagingError => new ImagingError('bad-dicom', message);

/**
 * Reads a DICOM SEG object: bit-packed, fractional (a half and more is inside) or label map, with empty segments and any
 * number of frames. Frames are unpacked when they are asked for.
 *
 * @throws ImagingError for other objects, damaged files, compressed pixels
 */
export function readDicomSegmentation(bytes: Uint8Array): DicomSegmentation {
  const file = parseDicom(bytes);
  const { dataset, syntax, transferSyntax } = file;
  if (syntax.codec !== 'native') {
    throw new ImagingError(
      'compressed-dicom',
      `Expected uncompressed pixels, found the transfer syntax ${transferSyntax}: decompress the file first.`,
    );
  }
  const sopClass = dataset.text(TAG.sopClassUid) ?? '(none)';
  if (sopClass !== SEGMENTATION_STORAGE && sopClass !== LABEL_MAP_SEGMENTATION_STORAGE) {
    throw new ImagingError('unsupported', `Expected a DICOM SEG object, found the SOP class ${sopClass.slice(0, 64)}.`);
  }
  const [rows, columns] = [dataset.uint16(TAG.rows) ?? 0, dataset.uint16(TAG.columns) ?? 0];
  const count = dataset.decimal(TAG.numberOfFrames) ?? 0;
  if (rows < 1 || columns < 1 || !Number.isInteger(count) || count < 0 || count > MAX_FRAMES) {
    throw bad(`Expected rows, columns and up to ${MAX_FRAMES} frames, found ${rows} x ${columns} x ${count}.`);
  }
  const segments = dataset.items(TAG.segmentSequence).map((item) => ({
    number: item.uint16(TAG.segmentNumber) ?? 0,
    label: item.text(TAG.segmentLabel) ?? '',
  }));
  const isLabelMap = dataset.text(TAG.segmentationType) === 'LABELMAP';
  const { groups } = functionalGroups(dataset);
  if (groups.length < count) throw bad(`Expected the geometry of ${count} frames, found that of ${groups.length}.`);
  return {
    segments,
    rows,
    columns,
    frames: groups.slice(0, count).map((group) => readFrame(group, isLabelMap)),
    pixels: pixelReader(file, rows * columns, count, isLabelMap),
  };
}

function readFrame(group: FunctionalGroups, isLabelMap: boolean): DicomSegmentFrame {
  const orientation = group(TAG.framePlaneOrientation)?.decimals(TAG.imageOrientation);
  const position = group(TAG.framePlanePosition)?.decimals(TAG.imagePosition);
  const spacing = group(TAG.framePixelMeasures)?.decimals(TAG.pixelSpacing);
  const segment = group(TAG.segmentIdentification)?.uint16(TAG.referencedSegmentNumber);
  if (orientation?.length !== 6 || position?.length !== 3 || spacing?.length !== 2 || !spacing.every((mm) => mm > 0)) {
    throw bad(
      'Expected position, orientation and spacing for every frame, found a frame without: it cannot be placed.',
    );
  }
  if (segment === undefined && !isLabelMap) throw bad('Expected a segment number for every frame, found none.');
  return {
    segment: isLabelMap ? undefined : segment,
    orientation: orientation as unknown as Orientation,
    position: position as unknown as Vector3,
    rowSpacing: spacing[0]!,
    columnSpacing: spacing[1]!,
  };
}

function pixelReader(
  { dataset, pixelData }: DicomFile,
  size: number,
  count: number,
  isLabelMap: boolean,
): DicomSegmentation['pixels'] {
  const bits = dataset.uint16(TAG.bitsAllocated) ?? 0;
  if (![1, 8, 16].includes(bits) || (bits === 16 && !isLabelMap)) {
    throw new ImagingError('unsupported', `Expected pixels of 1 or 8 bits, found ${bits}.`);
  }
  const { offset = 0, length = 0 } = pixelData ?? {};
  const data = dataset.bytes.subarray(offset, offset + length);
  const needed = Math.ceil((size * count * bits) / 8);
  if (data.length < needed) {
    throw new ImagingError('truncated', `Expected ${needed} bytes of pixels, found ${data.length}.`);
  }
  const half = (dataset.uint16(TAG.maximumFractionalValue) ?? 255) / 2;
  return (f) => {
    if (!Number.isInteger(f) || f < 0 || f >= count) {
      throw new ImagingError('bad-argument', `Expected a frame from 0 to ${count - 1}, found ${f}.`);
    }
    if (bits === 16) {
      const view = new DataView(data.buffer, data.byteOffset + f * size * 2, size * 2);
      return Uint16Array.from({ length: size }, (_, index) => view.getUint16(index * 2, dataset.littleEndian));
    }
    if (bits === 8) {
      const frame = data.subarray(f * size, (f + 1) * size);
      return isLabelMap ? frame.slice() : frame.map((value) => (value >= half && value > 0 ? 1 : 0));
    }
    // Frames follow each other without padding: one may begin in the middle of a byte.
    const out = new Uint8Array(size);
    for (let index = 0, bit = f * size; index < size; index++, bit++) out[index] = (data[bit >> 3]! >> (bit & 7)) & 1;
    return out;
  };
}

export interface PlacedSegmentation {
  readonly labels: Volume<Uint8Array>;
  /** Voxels that segments of different labels claim; they have the label `overlap`. */
  readonly overlaps: number;
  /** Segments without a single voxel. */
  readonly empty: readonly DicomSegment[];
}

/** Parts of a voxel that a frame may lie beside its voxels. */
const OFF_GRID = 0.1;

/**
 * The segments as a label map in the voxels of a scan, which they must share: frames may be flipped, in another order or
 * cover a part, but nothing is resampled.
 *
 * @param labelOf label of a segment; undefined leaves it out
 * @param overlap label of voxels that segments of different labels claim
 * @throws ImagingError where a frame lies between the scan's voxels or outside of it
 */
export function placeSegmentation(
  segmentation: DicomSegmentation,
  scan: Volume,
  labelOf: (segment: DicomSegment) => number | undefined,
  overlap: number,
): PlacedSegmentation {
  const data = new Uint8Array(scan.slices * scan.rows * scan.columns);
  const labels = new Map(segmentation.segments.map((segment) => [segment.number, labelOf(segment)]));
  const seen = new Set<number>();
  let overlaps = 0;
  segmentation.frames.forEach((frame, f) => {
    const pixels = segmentation.pixels(f);
    if (pixels.every((value) => value === 0)) return;
    const place = placeFrame(frame, segmentation, scan);
    for (let index = 0; index < pixels.length; index++) {
      if (pixels[index] === 0) continue;
      const segment = frame.segment ?? pixels[index]!;
      seen.add(segment);
      const label = labels.get(segment);
      if (label === undefined || label === 0) continue;
      const at = place(index % segmentation.columns, Math.floor(index / segmentation.columns));
      if (data[at] !== 0 && data[at] !== label) {
        if (data[at] !== overlap) overlaps++;
        data[at] = overlap;
      } else data[at] = label;
    }
  });
  const { slices, rows, columns, affine } = scan;
  return {
    labels: { data, slices, rows, columns, affine },
    overlaps,
    empty: segmentation.segments.filter(({ number }) => !seen.has(number)),
  };
}

/** Index in the scan's data of a frame's pixel (column, row). */
function placeFrame(frame: DicomSegmentFrame, size: { rows: number; columns: number }, scan: Volume) {
  const { orientation: o, position } = frame;
  const across = flipLpsRas(scale([o[0], o[1], o[2]], frame.columnSpacing));
  const down = flipLpsRas(scale([o[3], o[4], o[5]], frame.rowSpacing));
  const linear = affineFromColumns(
    ...([0, 1, 2].map((c) => affineColumn(scan.affine, c as 0)) as [Vector3, Vector3, Vector3]),
    [0, 0, 0],
  );
  const steps = [across, down].map((step) => patientToVoxel(linear, step));
  const origin = voxelOf(flipLpsRas(position), scan, [across, down]);
  const [right, below] = steps.map((step) => step.map(Math.round));
  const corner = origin.map(Math.round);
  // What rounding hides grows with the distance from the first pixel: look at the far corner too.
  const far = origin.map(
    (value, axis) => value + steps[0]![axis]! * (size.columns - 1) + steps[1]![axis]! * (size.rows - 1),
  );
  const end = corner.map((value, axis) => value + right![axis]! * (size.columns - 1) + below![axis]! * (size.rows - 1));
  const off = Math.max(
    ...origin.map((value, axis) => Math.max(Math.abs(value - corner[axis]!), Math.abs(far[axis]! - end[axis]!))),
  );
  if (!(off < OFF_GRID)) {
    throw new ImagingError(
      'unsupported',
      `Expected a segmentation in the voxels of its scan, found a frame ${off.toFixed(2)} voxels beside them: resample it first.`,
    );
  }
  const sizes = [scan.columns, scan.rows, scan.slices];
  return (column: number, row: number): number => {
    const [i, j, k] = corner.map((value, axis) => value + right![axis]! * column + below![axis]! * row) as [
      number,
      number,
      number,
    ];
    if ([i, j, k].some((value, axis) => value < 0 || value >= sizes[axis]!)) {
      throw new ImagingError(
        'bad-argument',
        'Expected a segmentation inside its scan, found a frame outside: they are of different scans.',
      );
    }
    return (k * scan.rows + j) * scan.columns + i;
  };
}

/** Voxel index of a place (RAS+). Unevenly spaced slices have no affine: there the nearest parallel slice counts. */
function voxelOf(point: Vector3, scan: Volume, plane: readonly Vector3[]): Vector3 {
  const { affine, positions } = scan;
  if (positions === undefined) return patientToVoxel(affine, point);
  const normal = normalize(cross(plane[0]!, plane[1]!));
  const places = positions.map((position) => flipLpsRas(position));
  const distances = places.map((place) => dot(subtract(point, place), normal));
  let k = 0;
  distances.forEach((distance, index) => {
    if (Math.abs(distance) < Math.abs(distances[k]!)) k = index;
  });
  const moved = affineFromColumns(
    affineColumn(affine, 0),
    affineColumn(affine, 1),
    affineColumn(affine, 2),
    places[k]!,
  );
  const step = norm(subtract(voxelToPatient(affine, 0, 0, 1), voxelToPatient(affine, 0, 0, 0)));
  const inPlane = patientToVoxel(moved, subtract(point, scale(normal, distances[k]!)));
  return [inPlane[0], inPlane[1], k + distances[k]! / step];
}
