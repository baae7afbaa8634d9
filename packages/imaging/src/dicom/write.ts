import { affineColumn, dot, flipLpsRas, norm, normalize, sliceNormal, type Vector3 } from '../affine.js';
import { ImagingError } from '../imaging-error.js';
import type { Volume } from '../volume.js';
import { encodeDicomFile } from './encode-nested.js';
import type { DicomAttribute } from './encode.js';
import { CT_IMAGE_STORAGE, TAG } from './tags.js';
import { uidFromSeed } from './uid.js';

/** What a written series says about itself. Texts are ASCII; nothing here may come from a real patient. */
export interface DicomWriteMeta {
  /** All UIDs are derived from it: equal seeds give equal UIDs, different ones different. */
  readonly seed: string;
  /** Follows `PHANTOM^` in Patient's Name, up to 56 characters; the seed where absent. */
  readonly patient?: string;
  readonly studyDescription?: string;
  readonly seriesDescription?: string;
  /** YYYYMMDD; 20000101 where absent. */
  readonly date?: string;
}

const AIR = -1024;

/**
 * A scan as a CT series, one file a slice in the order of the volume: CT Image Storage, explicit VR little endian, signed
 * 16-bit pixels. Tilt and uneven positions are written as they are; reading the files back gives the same voxels.
 * Throws where rows and columns are not at right angles or the sizes do not fit the voxels.
 */
export function writeDicomSeries(volume: Volume<Int16Array>, meta: DicomWriteMeta): Uint8Array[] {
  const { slices, rows, columns, data, affine } = volume;
  if (data.length !== slices * rows * columns || slices < 1 || Math.max(rows, columns) > 65535) {
    throw new ImagingError('bad-argument', `Expected ${slices} x ${rows} x ${columns} voxels, found ${data.length}.`);
  }
  if (meta.date !== undefined && !/^\d{8}$/.test(meta.date)) {
    throw new ImagingError('bad-argument', `Expected a date as YYYYMMDD, found "${meta.date.slice(0, 20)}".`);
  }
  const across = normalize(flipLpsRas(affineColumn(affine, 0)));
  const down = normalize(flipLpsRas(affineColumn(affine, 1)));
  if (Math.abs(dot(across, down)) > 1e-4) {
    throw new ImagingError(
      'bad-argument',
      'Expected rows and columns at right angles, found a shear within the slices.',
    );
  }
  const size = rows * columns;
  // Signed 16 bits with the usual intercept cannot hold the last 1024 HU.
  const intercept = data.some((hu) => hu - AIR > 32767) ? 0 : AIR;
  const shared = seriesAttributes(volume, meta, intercept, [...across, ...down]);
  return Array.from({ length: slices }, (_, k) => {
    const hu = data.subarray(k * size, (k + 1) * size);
    return encodeDicomFile([...shared, ...sliceAttributes(volume, meta, k), pixelAttribute(hu, intercept)]);
  });
}

/** The modules that all slices share: patient, study, series, frame of reference, equipment, plane and pixel format. */
function seriesAttributes(
  { rows, columns, affine }: Volume,
  meta: DicomWriteMeta,
  intercept: number,
  orientation: readonly number[],
): DicomAttribute[] {
  const { seed, date = '20000101' } = meta;
  const patient = (meta.patient ?? seed).slice(0, 56);
  return [
    { tag: TAG.specificCharacterSet, vr: 'CS', value: 'ISO_IR 100' },
    { tag: TAG.imageType, vr: 'CS', value: ['ORIGINAL', 'PRIMARY', 'AXIAL'] },
    { tag: TAG.sopClassUid, vr: 'UI', value: CT_IMAGE_STORAGE },
    { tag: TAG.studyDate, vr: 'DA', value: date },
    { tag: TAG.contentDate, vr: 'DA', value: date },
    { tag: TAG.studyTime, vr: 'TM', value: '000000' },
    { tag: TAG.contentTime, vr: 'TM', value: '000000' },
    { tag: TAG.accessionNumber, vr: 'SH', value: '' },
    { tag: TAG.modality, vr: 'CS', value: 'CT' },
    { tag: TAG.manufacturer, vr: 'LO', value: 'aaunet' },
    { tag: TAG.referringPhysician, vr: 'PN', value: '' },
    { tag: TAG.studyDescription, vr: 'LO', value: (meta.studyDescription ?? 'Synthetic head CT').slice(0, 64) },
    {
      tag: TAG.seriesDescription,
      vr: 'LO',
      value: (meta.seriesDescription ?? 'Synthetic, not a patient').slice(0, 64),
    },
    { tag: TAG.patientName, vr: 'PN', value: `PHANTOM^${patient.replaceAll(/[\^=]/g, ' ')}` },
    { tag: TAG.patientId, vr: 'LO', value: `PHANTOM-${patient}`.slice(0, 64) },
    { tag: TAG.patientBirthDate, vr: 'DA', value: '' },
    { tag: TAG.patientSex, vr: 'CS', value: 'O' },
    { tag: TAG.bodyPart, vr: 'CS', value: 'HEAD' },
    { tag: TAG.kvp, vr: 'DS', value: 120 },
    { tag: TAG.patientPosition, vr: 'CS', value: 'HFS' },
    { tag: TAG.studyInstanceUid, vr: 'UI', value: uidFromSeed(`${seed}/study`) },
    { tag: TAG.seriesInstanceUid, vr: 'UI', value: uidFromSeed(`${seed}/series`) },
    { tag: TAG.studyId, vr: 'SH', value: '1' },
    { tag: TAG.seriesNumber, vr: 'IS', value: 1 },
    { tag: TAG.acquisitionNumber, vr: 'IS', value: 1 },
    { tag: TAG.imageOrientation, vr: 'DS', value: orientation },
    { tag: TAG.frameOfReferenceUid, vr: 'UI', value: uidFromSeed(`${seed}/frame`) },
    { tag: TAG.positionReference, vr: 'LO', value: '' },
    { tag: TAG.samplesPerPixel, vr: 'US', value: 1 },
    { tag: TAG.photometricInterpretation, vr: 'CS', value: 'MONOCHROME2' },
    { tag: TAG.rows, vr: 'US', value: rows },
    { tag: TAG.columns, vr: 'US', value: columns },
    { tag: TAG.pixelSpacing, vr: 'DS', value: [norm(affineColumn(affine, 1)), norm(affineColumn(affine, 0))] },
    { tag: TAG.bitsAllocated, vr: 'US', value: 16 },
    { tag: TAG.bitsStored, vr: 'US', value: 16 },
    { tag: TAG.highBit, vr: 'US', value: 15 },
    { tag: TAG.pixelRepresentation, vr: 'US', value: 1 },
    { tag: TAG.burnedInAnnotation, vr: 'CS', value: 'NO' },
    { tag: TAG.windowCenter, vr: 'DS', value: 40 },
    { tag: TAG.windowWidth, vr: 'DS', value: 80 },
    { tag: TAG.rescaleIntercept, vr: 'DS', value: intercept },
    { tag: TAG.rescaleSlope, vr: 'DS', value: 1 },
    { tag: TAG.rescaleType, vr: 'LO', value: 'HU' },
  ];
}

function sliceAttributes(volume: Volume, { seed }: DicomWriteMeta, k: number): DicomAttribute[] {
  const { affine, positions, extents } = volume;
  const step = affineColumn(affine, 2);
  const position =
    positions?.[k] ?? flipLpsRas(affineColumn(affine, 3).map((x, axis) => x + step[axis]! * k) as unknown as Vector3);
  return [
    { tag: TAG.sopInstanceUid, vr: 'UI', value: uidFromSeed(`${seed}/slice/${k}`) },
    { tag: TAG.sliceThickness, vr: 'DS', value: extents?.[k] ?? dot(step, sliceNormal(affine)) },
    { tag: TAG.instanceNumber, vr: 'IS', value: k + 1 },
    { tag: TAG.imagePosition, vr: 'DS', value: position },
  ];
}

function pixelAttribute(hu: Int16Array, intercept: number): DicomAttribute {
  const value = new Uint8Array(hu.length * 2);
  const view = new DataView(value.buffer);
  for (let index = 0; index < hu.length; index++) view.setInt16(index * 2, hu[index]! - intercept, true);
  return { tag: TAG.pixelData, vr: 'OW', value };
}
