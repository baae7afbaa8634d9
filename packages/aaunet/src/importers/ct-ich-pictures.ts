import { roundHalfToEven, type Affine } from '@aaunet/imaging';

import type { FoundFile } from './files.js';
import { readGrayPicture } from './gray-picture.js';
import type { ImportedCase, Notes } from './importer.js';

/** Windows (HU at gray 0 and 255) in which the slices were exported (Hssayeni et al. 2020). */
const BRAIN = { low: 40 - 60, high: 40 + 60 };
const BONE = { low: 700 - 1600, high: 700 + 1600 };
/** Grays this near to black or white were cut off by the window, whatever JPEG made of them. */
const CUT_OFF = 3;
/** What most of what is cut off below or above the brain window is, where no bone picture tells. */
const AIR = -1000;
const SKULL = 1000;
/** The pictures have no geometry: the field of view of a head scan and the slice thickness that the authors name, mm. */
const FIELD_MM = 250;
const THICKNESS_MM = 5;

/** The pictures of a slice. */
interface SlicePictures {
  readonly brain: FoundFile;
  readonly bone?: FoundFile | undefined;
  readonly mask?: FoundFile | undefined;
}

/** One patient's pictures by slice number, in the order of the numbers. */
export type PictureScan = ReadonlyMap<number, SlicePictures>;

const PICTURE = /(?:^|\/)(\d+)\/(brain|bone)\/(\d+)(_HGE_Seg)?\.(?:jpe?g|png)$/i;

/** The scans of an early release among these files: patient's folder to its slices, of which each has a brain picture. */
export function findPictureScans(files: readonly FoundFile[]): Map<string, PictureScan> {
  const scans = new Map<string, Map<number, SlicePictures>>();
  const find = (kind: string): (readonly [file: FoundFile, patient: string, slice: number])[] =>
    files.flatMap((file) => {
      const [, patient, window, number, mask = ''] = PICTURE.exec(file.path) ?? [];
      if (patient === undefined || `${window}${mask}`.toLowerCase() !== kind) return [];
      return [[file, patient, Number(number)] as const];
    });
  for (const [brain, patient, number] of find('brain').sort((a, b) => a[2] - b[2])) {
    const scan = scans.get(patient) ?? new Map<number, SlicePictures>();
    scans.set(patient, scan.set(number, { brain }));
  }
  for (const [kind, key] of [
    ['bone', 'bone'],
    ['brain_hge_seg', 'mask'],
  ] as const) {
    for (const [file, patient, number] of find(kind)) {
      const slice = scans.get(patient)?.get(number);
      if (slice !== undefined) scans.get(patient)!.set(number, { ...slice, [key]: file });
    }
  }
  return scans;
}

/** All files of a scan. */
export function filesOf(scan: PictureScan): string[] {
  return [...scan.values()].flatMap(({ brain, bone, mask }) =>
    [brain, bone, mask].flatMap((file) => (file === undefined ? [] : [file.absolute])),
  );
}

/**
 * A scan with approximate HU and its binary mask: HU are taken from the brain window (steps of half a HU, changed by JPEG),
 * and where that is cut off from the bone window (steps of 13 HU). Rows and columns lie as radiologists see them, slices by
 * number from inferior to superior; millimetres are a guess, as `notes` says.
 */
export async function readPictureScan(scan: PictureScan, notes: Notes): Promise<ImportedCase> {
  const slices = [...scan.values()];
  const { rows, columns } = await readGrayPicture(slices[0]!.brain.absolute);
  const size = rows * columns;
  const hu = new Int16Array(slices.length * size);
  const marks = new Uint8Array(hu.length);
  const read = async ({ absolute, path }: FoundFile): Promise<Uint16Array> => {
    const picture = await readGrayPicture(absolute);
    if (picture.rows === rows && picture.columns === columns) return picture.samples;
    const found = `${picture.columns} x ${picture.rows}`;
    throw new Error(`Expected pictures of ${columns} x ${rows} pixels, found ${path} of ${found}.`);
  };
  for (const [k, { brain, bone, mask }] of slices.entries()) {
    const narrow = await read(brain);
    const wide = bone && (await read(bone));
    hu.set(
      Int16Array.from(narrow, (gray, index) => roundHalfToEven(huOf(gray, wide?.[index]))),
      k * size,
    );
    // JPEG blurs the border of a mask of 0 and 255.
    if (mask !== undefined)
      marks.set(
        Uint8Array.from(await read(mask), (gray) => (gray >= 128 ? 1 : 0)),
        k * size,
      );
  }
  noteGuesses(scan, notes);
  const geometry = { slices: slices.length, rows, columns, affine: affineOf(rows, columns) };
  return { image: { ...geometry, data: hu }, labels: { ...geometry, data: marks } };
}

function noteGuesses(scan: PictureScan, notes: Notes): void {
  const numbers = [...scan.keys()];
  const missing = numbers.at(-1)! - numbers[0]! + 1 - numbers.length;
  if (missing > 0) notes.add('warning', `Slices missing between those that are there, by their numbers: ${missing}.`);
  const withoutBone = [...scan.values()].filter(({ bone }) => bone === undefined).length;
  if (withoutBone > 0) {
    notes.add(
      'warning',
      `Slices without a bone picture, whose bone and air were set to ${SKULL} and ${AIR} HU: ${withoutBone}.`,
    );
  }
  notes.add(
    'warning',
    `HU are approximate, computed from pictures in the windows ${BRAIN.low} to ${BRAIN.high} and ${BONE.low} to ${BONE.high} HU.`,
  );
  notes.add(
    'warning',
    `Pictures have no geometry: a field of view of ${FIELD_MM} mm and slices of ${THICKNESS_MM} mm were assumed, so mL of this case are not to be trusted.`,
  );
}

function huOf(brain: number, bone: number | undefined): number {
  const isBelow = brain < CUT_OFF;
  if (!isBelow && brain <= 255 - CUT_OFF) return BRAIN.low + (brain / 255) * (BRAIN.high - BRAIN.low);
  if (bone === undefined) return isBelow ? AIR : SKULL;
  const hu = BONE.low + (bone / 255) * (BONE.high - BONE.low);
  return isBelow ? Math.min(hu, BRAIN.low) : Math.max(hu, BRAIN.high);
}

/** Columns from the patient's right to left, rows from front to back, slices upwards. */
function affineOf(rows: number, columns: number): Affine {
  const mm = FIELD_MM / columns;
  return [
    [-mm, 0, 0, FIELD_MM / 2],
    [0, -mm, 0, (mm * rows) / 2],
    [0, 0, THICKNESS_MM, 0],
    [0, 0, 0, 1],
  ];
}
