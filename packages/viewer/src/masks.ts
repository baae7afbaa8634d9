import {
  CLASS_COUNT,
  labelByName,
  parseDicom,
  placeSegmentation,
  readDicomSegmentation,
  readNifti,
  toCanonical,
  toLabelVolume,
  voxelToPatient,
  type Volume,
} from '@aaunet/imaging';

/** Masks that were saved before, in the canonical voxels of the scan that is open. */
export interface Masks {
  readonly labels: Uint8Array;
  readonly warnings: readonly string[];
}

type Grid = Omit<Volume, 'data'>;

/** Parts of a voxel that masks may lie beside the scan: files round places. */
const OFF_GRID = 0.1;
const MODALITY = 0x00080060;

/**
 * The masks in a file: a DICOM Segmentation, or a NIfTI file of whole numbers from 0 to 7.
 *
 * @param kind what the file is by its first bytes
 * @param scan the canonical geometry that they must have
 * @returns undefined where the file is something else, such as another scan
 * @throws Error of one sentence where they are masks of another scan
 */
export function readMasks(kind: 'nifti' | 'dicom', bytes: Uint8Array, scan: Grid): Masks | undefined {
  return kind === 'nifti' ? masksOfNifti(bytes, scan) : masksOfDicom(bytes, scan);
}

function masksOfNifti(bytes: Uint8Array, scan: Grid): Masks | undefined {
  const { volume } = readNifti(bytes);
  let labels: Volume<Uint8Array>;
  try {
    labels = toLabelVolume(volume);
  } catch {
    return undefined;
  }
  const canonical = toCanonical(labels).volume;
  const sizes = ({ columns, rows, slices }: Grid): string => `${columns} x ${rows} x ${slices}`;
  if (sizes(canonical) !== sizes(scan)) {
    throw new Error(`Expected masks of ${sizes(scan)} voxels as the open scan has, found ${sizes(canonical)}.`);
  }
  const apart = Math.max(...cornersOf(canonical).map((corner, index) => distance(corner, cornersOf(scan)[index]!)));
  const [first, second] = [voxelToPatient(scan.affine, 0, 0, 0), voxelToPatient(scan.affine, 1, 0, 0)];
  if (apart > OFF_GRID * distance(first, second)) {
    throw new Error(`Expected masks in the voxels of the open scan, found them ${apart.toFixed(1)} mm beside it.`);
  }
  return { labels: canonical.data, warnings: [] };
}

type Place = readonly [number, number, number];

const distance = (a: Place, b: Place): number => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);

const cornersOf = ({ affine, columns, rows, slices }: Grid): Place[] =>
  [0, columns - 1].flatMap((i) =>
    [0, rows - 1].flatMap((j) => [0, slices - 1].map((k) => voxelToPatient(affine, i, j, k))),
  );

/** What a DICOM object shows; undefined where the bytes are none. */
function modalityOf(bytes: Uint8Array): string | undefined {
  try {
    return parseDicom(bytes).dataset.text(MODALITY);
  } catch {
    return undefined;
  }
}

function masksOfDicom(bytes: Uint8Array, scan: Grid): Masks | undefined {
  if (modalityOf(bytes) !== 'SEG') return undefined;
  const segmentation = readDicomSegmentation(bytes);
  const labelOf = ({ label }: { readonly label: string }): number | undefined => {
    try {
      return labelByName(label).id;
    } catch {
      return undefined;
    }
  };
  const unknown = segmentation.segments.filter((segment) => labelOf(segment) === undefined);
  const { labels, overlaps } = placeSegmentation(
    segmentation,
    { ...scan, data: new Uint8Array() },
    labelOf,
    CLASS_COUNT,
  );
  if (overlaps > 0) {
    throw new Error(
      `Expected segments of which each voxel has one at most, found ${overlaps} voxels that have several.`,
    );
  }
  const names = unknown.map(({ label }) => label.slice(0, 64)).join(', ');
  const warnings = unknown.length > 0 ? [`Segments of other names than the seven types were left out: ${names}.`] : [];
  return { labels: labels.data, warnings };
}
