/** Small data sets for tests, each in the layout and with the oddities of the real one. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { writeDicomSeries, writeNifti, type Affine, type Volume } from '@aaunet/imaging';
import { encode } from 'fast-png';

import { grayJpeg } from '../testing/gray-jpeg.js';
import { tinyScan } from '../testing/tiny-dataset.js';
import type { ImportKind } from './importers.js';

export const SIZE = 64;
const PIXELS = SIZE ** 2;

/** Table I's numbers as BHSD's; what BHSD does not mark is background. */
const TO_BHSD: readonly number[] = [0, 2, 5, 4, 1, 0, 0, 3];

export interface MiniCase {
  readonly scan: Volume<Int16Array>;
  /** Table I's labels, by construction. */
  readonly labels: Volume<Uint8Array>;
}

export const miniCase = (name: string): MiniCase => tinyScan(name, SIZE);

/** Writes a file, making its folder. */
export async function put(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}

/** Writes a volume, its header changed by `patch`, compressed where the name says so. */
export async function putNifti(path: string, volume: Volume, patch?: (header: DataView) => void): Promise<void> {
  const bytes = writeNifti(volume);
  patch?.(new DataView(bytes.buffer));
  await put(path, path.endsWith('.gz') ? gzipSync(bytes) : bytes);
}

/** Other values for each label. */
export function relabelled(labels: Volume<Uint8Array>, to: (label: number) => number): Volume<Uint8Array> {
  return { ...labels, data: labels.data.map(to) };
}

export const binary = (labels: Volume<Uint8Array>, value = 1): Volume<Uint8Array> =>
  relabelled(labels, (label) => (label === 0 ? 0 : value));

/** A left-handed affine, so that the qform needs qfac -1. */
const LEFT_HANDED: Affine = [
  [-4, 0, 0, 126],
  [0, 4, 0, -126],
  [0, 0, 5, -10],
  [0, 0, 0, 1],
];

/** No sform, its rows zero; slope NaN. */
function qformAlone(view: DataView): void {
  view.setInt16(254, 0, true);
  for (let offset = 280; offset < 328; offset += 4) view.setFloat32(offset, 0, true);
  view.setFloat32(112, NaN, true);
}

export const BHSD_CASES = [
  'ID_aaaa1111_ID_0000000001',
  'ID_aaaa1111_ID_0000000002',
  'ID_bbbb2222_ID_0000000003',
  'ID_cccc3333_ID_0000000004',
  'ID_dddd4444_ID_0000000005',
];

/** BHSD: a space in a folder's name, geometry in the qform alone, 16-bit masks, a dataset.json whose paths do not exist. */
export async function writeBhsd(root: string): Promise<void> {
  const at = (...parts: string[]): string => join(root, 'label_192', ...parts);
  for (const name of [...BHSD_CASES, 'ID_eeee5555_ID_0000000006']) {
    const { scan, labels } = miniCase(name);
    await putNifti(at('images', `${name}.nii.gz`), { ...scan, affine: LEFT_HANDED }, qformAlone);
    const isStrange = name.startsWith('ID_eeee');
    const marks = relabelled(labels, (label) => (isStrange && label === 7 ? 6 : TO_BHSD[label]!));
    await putNifti(
      at('ground truths', `${name}.nii.gz`),
      { ...marks, data: Int16Array.from(marks.data), affine: LEFT_HANDED },
      (view) => {
        qformAlone(view);
        view.setInt16(70, 512, true);
      },
    );
  }
  await putNifti(at('images', 'ID_ffff6666_ID_0000000007.nii.gz'), miniCase('x').scan);
  await put(at('images', '._ID_ffff6666_ID_0000000007.nii.gz'), 'resource fork');
  await putNifti(join(root, 'unlabel_2000', 'images', 'u.nii.gz'), miniCase('u').scan);
  const listed = (names: string[]): unknown[] => names.map((name) => ({ image: `./imagesTr/${name}.nii.gz` }));
  await put(at('dataset.json'), JSON.stringify({ training: listed(BHSD_CASES.slice(0, 3)), test: listed(['a', 'b']) }));
}

/** INSTANCE22: binary masks; the first one has lost its orientation. */
export async function writeInstance22(root: string): Promise<void> {
  for (const name of ['001', '002', '003', '004']) {
    const { scan, labels } = miniCase(name);
    await putNifti(join(root, 'train_2', 'data', `${name}.nii.gz`), scan);
    await putNifti(join(root, 'train_2', 'label', `${name}.nii.gz`), binary(labels), (view) => {
      if (name !== '001') return;
      view.setInt16(252, 0, true);
      view.setInt16(254, 0, true);
    });
  }
  await putNifti(join(root, 'evaluation', '101.nii.gz'), miniCase('101').scan);
}

/** Types of CT-ICH's slices in {@link writeCtIch}: one, several, none. */
export const CT_ICH_TYPES = [['Epidural'], ['Subdural', 'Subarachnoid'], []] as const;

/** PhysioNet CT-ICH: uncompressed, masks 0/255, types by slice in a table with odd headers. */
export async function writeCtIch(root: string): Promise<void> {
  const columns = ['Intraventricular', 'Intraparenchymal', 'Subarachnoid', 'Epidural', 'Subdural'];
  const rows = [`\uFEFFPatientNumber,SliceNumber,${columns.join(',')},No_Hemorrhage,Fracture_Yes_No`];
  for (const name of ['049', '050', '066', '067']) {
    const { scan, labels } = miniCase(name);
    await putNifti(join(root, 'ct_scans', `${name}.nii`), scan);
    await putNifti(join(root, 'masks', `${name}.nii`), binary(labels, 255));
    CT_ICH_TYPES.forEach((types: readonly string[], k) => {
      const flags = columns.map((column) => (types.includes(column) ? 1 : 0));
      rows.push([Number(name), k + 1, ...flags, types.length === 0 ? 1 : 0, 0].join(','));
    });
  }
  await put(join(root, 'hemorrhage_diagnosis_raw_ct.csv'), `${rows.join('\r\n')}\r\n`);
  await put(join(root, 'Patient_demographics.csv'), ',,Hemorrhage type,\n"Patient, Number",Age\n');
}

/** Gray levels of a display window. */
const windowed = (hu: Int16Array, low: number, high: number): Uint8Array =>
  Uint8Array.from(hu, (value) => Math.max(0, Math.min(255, Math.round((255 * (value - low)) / (high - low)))));

/**
 * PhysioNet CT-ICH before 1.3: pictures of each slice in two windows, a mask only where there is blood, slices numbered from
 * 10 (the table's numbers), one bone picture missing; JPEG, of one patient PNG.
 */
export async function writeCtIchPictures(root: string): Promise<void> {
  const columns = ['Intraventricular', 'Intraparenchymal', 'Subarachnoid', 'Epidural', 'Subdural'];
  const rows = [`PatientNumber,SliceNumber,${columns.join(',')},No_Hemorrhage,Fracture_Yes_No`];
  for (const name of ['049', '050', '066', '084']) {
    const { scan, labels } = miniCase(name);
    const folder = join(root, 'Patients_CT', name);
    const isPng = name === '050';
    const putPicture = (path: string, data: Uint8Array): Promise<void> =>
      put(
        join(folder, `${path}.${isPng ? 'png' : 'jpg'}`),
        isPng ? encode({ width: SIZE, height: SIZE, channels: 1, data }) : grayJpeg(data, SIZE, SIZE),
      );
    for (let k = 0; k < 3; k++) {
      const [hu, marks] = [scan, labels].map(({ data }) => data.subarray(k * PIXELS, (k + 1) * PIXELS));
      const number = 10 + k;
      await putPicture(`brain/${number}`, windowed(hu as Int16Array, -20, 100));
      if (name !== '084' || k > 0) await putPicture(`bone/${number}`, windowed(hu as Int16Array, -900, 2300));
      const types: readonly string[] = CT_ICH_TYPES[k]!;
      if (types.length > 0) {
        const mask = Uint8Array.from(marks!, (label) => (label === 0 ? 0 : 255));
        await putPicture(`brain/${number}_HGE_Seg`, mask);
      }
      const flags = columns.map((column) => (types.includes(column) ? 1 : 0));
      rows.push([Number(name), number, ...flags, types.length === 0 ? 1 : 0, 0].join(','));
    }
  }
  await put(join(root, 'hemorrhage_diagnosis.csv'), `${rows.join('\n')}\n`);
}

/** Seg-CQ500: a folder a scan; the first affine is sheared as under a gantry tilt, the last folder lacks its mask. */
export async function writeSegCq500(root: string): Promise<void> {
  for (const number of [0, 7, 12, 420]) {
    const { scan, labels } = miniCase(`cq${number}`);
    const folder = join(root, 'data', 'volumes', `CQ500-CT-${number}`);
    const affine: Affine = [scan.affine[0], [0, -4, 1.6, 126], [0, 0, 4.7, -10], [0, 0, 0, 1]];
    const geometry = number === 0 ? { affine } : {};
    await putNifti(join(folder, 'CT.nii'), { ...scan, ...geometry });
    await putNifti(join(folder, 'brain.nii.gz'), binary(labels));
    if (number !== 420) await putNifti(join(folder, 'ICH_mask.nii.gz'), { ...binary(labels), ...geometry });
  }
  await put(join(root, 'data', 'volumes', 'info.csv'), 'name,spacing\nCQ500-CT-0,0.6\n');
}

/** MBH-Seg: annotators who disagree, a published consensus, an uncertainty map that is no label. */
export async function writeMbhSeg(root: string): Promise<void> {
  const folders = ['ID_aaaa1111_ID_0000000001', 'ID_99990001_ID_0000000012', 'ID_99990002_ID_0000000013', 'case_4'];
  for (const [index, name] of folders.entries()) {
    const { scan, labels } = miniCase(name);
    const folder = join(root, 'MBH_Train_2025_voxel-label', name);
    const marks = relabelled(labels, (label) => TO_BHSD[label]!);
    await putNifti(join(folder, 'image.nii.gz'), scan);
    await putNifti(join(folder, 'label_uncertainty.nii.gz'), {
      ...marks,
      data: new Float32Array(marks.data.length).fill(0.3),
    });
    // The second annotator saw no EDH (1), the third called it SDH (5).
    await putNifti(join(folder, 'label_annot_1.nii.gz'), marks);
    if (index > 0)
      await putNifti(
        join(folder, 'label_annot_3.nii.gz'),
        relabelled(marks, (v) => (v === 1 ? 0 : v)),
      );
    if (index > 1)
      await putNifti(
        join(folder, 'label_annot_4.nii.gz'),
        relabelled(marks, (v) => (v === 1 ? 5 : v)),
      );
    if (index > 2) await putNifti(join(folder, 'label_consensus_staple.nii.gz'), marks);
  }
}

/** HemSeg-200: int16 masks without orientation, images only as RSNA's DICOM slices, listed from top to bottom. */
export async function writeHemSeg(root: string): Promise<void> {
  const lines: string[] = [];
  const parts = ['train', 'train', 'val', 'test'] as const;
  for (const [index, part] of parts.entries()) {
    const name = `scan_${index}`;
    const { scan, labels } = miniCase(name);
    const ids = [0, 1, 2].map((k) => `ID_${(0xabc000 + index * 16 + k).toString(16)}`);
    // The list runs from superior to inferior, and the mask with it.
    const reversed = labels.data.slice();
    for (let k = 0; k < 3; k++) reversed.set(labels.data.subarray((2 - k) * PIXELS, (3 - k) * PIXELS), k * PIXELS);
    const marks = binary({ ...labels, data: reversed });
    await putNifti(
      join(root, 'IPH_IVH_label', part, 'label', `${name}.nii.gz`),
      { ...marks, data: Int16Array.from(marks.data) },
      (view) => {
        view.setInt16(252, 0, true);
        view.setInt16(254, 0, true);
      },
    );
    const files = writeDicomSeries(scan, { seed: name, patient: `P${Math.min(index, 2)}` });
    for (const [k, bytes] of files.entries()) await put(join(root, 'stage_2_train', `${ids[2 - k]}.dcm`), bytes);
    const list = ids.map((id) => `${id}.dcm`);
    lines.push(
      JSON.stringify(index === 0 ? { scan_: name, slice_list: list } : { scan_name: name, slice_list: list, label: 1 }),
    );
  }
  await put(join(root, 'annotion_file_info_200.jsonl'), `${lines.join('\n')}\n`);
}

/** nnU-Net v1 or v2 raw, labels in an order and under names of their own. */
export async function writeNnunet(root: string, version: 1 | 2): Promise<void> {
  const names = ['background', 'IPH', 'subdural hematoma', 'IVH'];
  const theirs = [0, 1, 2, 0, 0, 0, 0, 3];
  for (const name of ['HEAD_001', 'HEAD_002', 'HEAD_003']) {
    const { scan, labels } = miniCase(name);
    await putNifti(join(root, 'imagesTr', `${name}${version === 2 ? '_0000' : ''}.nii.gz`), scan);
    await putNifti(
      join(root, 'labelsTr', `${name}.nii.gz`),
      relabelled(labels, (label) => theirs[label]!),
    );
  }
  const v1 = {
    modality: { 0: 'CT' },
    labels: Object.fromEntries(names.map((name, i) => [String(i), name])),
    numTest: 0,
  };
  const v2 = { channel_names: { 0: 'CT' }, labels: Object.fromEntries(names.map((name, i) => [name, i])) };
  await put(
    join(root, 'dataset.json'),
    JSON.stringify({ name: 'theirs', ...(version === 1 ? v1 : v2), file_ending: '.nii.gz' }),
  );
}

/** Images and masks of one's own: NIfTI of three patients, of a fourth a folder of DICOM slices. */
export async function writePairs(root: string): Promise<void> {
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) {
    const { scan, labels } = miniCase(name);
    const slices = name === 'd' ? writeDicomSeries(scan, { seed: name }) : [];
    for (const [k, bytes] of slices.entries()) await put(join(root, 'ct', 'd', `${k}.dcm`), bytes);
    if (slices.length === 0) await putNifti(join(root, 'ct', `${name}.nii.gz`), scan);
    await putNifti(join(root, 'seg', `${name}.nii.gz`), labels);
  }
  const labels = { 1: 'ICH', 2: 'SDH', 3: 'SAH', 4: 'EDH', 5: 'CSDH', 6: 'Pneumocranium', 7: 'IVH' };
  const pairs = names.map((name) => ({
    image: name === 'd' ? 'ct/d' : `ct/${name}.nii.gz`,
    mask: `seg/${name}.nii.gz`,
    case: name,
  }));
  await put(join(root, 'pairs.json'), JSON.stringify({ name: 'mine', labels, pairs }));
}

/** Every kind that can be imported: how its miniature is written, and the folder that it has in an archive. */
export const MINIATURES: readonly (readonly [
  title: string,
  kind: ImportKind,
  write: (root: string) => Promise<void>,
  top: string,
])[] = [
  ['bhsd', 'bhsd', writeBhsd, ''],
  ['instance22', 'instance22', writeInstance22, 'INSTANCE/'],
  ['ct-ich 1.3', 'ct-ich', writeCtIch, 'computed-tomography-images-1.3.1/'],
  ['ct-ich 1.2', 'ct-ich', writeCtIchPictures, 'computed-tomography-images-1.2.0/'],
  ['seg-cq500', 'seg-cq500', writeSegCq500, ''],
  ['mbh-seg', 'mbh-seg', writeMbhSeg, ''],
  ['hemseg', 'hemseg', writeHemSeg, 'HemSeg/'],
  ['nnunet v1', 'nnunet', (root) => writeNnunet(root, 1), 'Task001_Head/'],
  ['nnunet v2', 'nnunet', (root) => writeNnunet(root, 2), 'Dataset001_Head/'],
  ['pairs', 'pairs', writePairs, 'mine/'],
];
