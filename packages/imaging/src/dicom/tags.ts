/** The DICOM attributes this package reads or writes, as 32-bit tags (group << 16 | element). */
export const TAG = {
  mediaSopClassUid: 0x00020002,
  transferSyntaxUid: 0x00020010,
  directoryRecords: 0x00041220,
  referencedFileId: 0x00041500,
  specificCharacterSet: 0x00080005,
  imageType: 0x00080008,
  sopClassUid: 0x00080016,
  sopInstanceUid: 0x00080018,
  modality: 0x00080060,
  timezoneOffset: 0x00080201,
  studyDescription: 0x00081030,
  seriesDescription: 0x0008103e,
  frameType: 0x00089007,
  contrastAgent: 0x00180010,
  bodyPart: 0x00180015,
  sliceThickness: 0x00180050,
  gantryDetectorTilt: 0x00181120,
  convolutionKernel: 0x00181210,
  studyInstanceUid: 0x0020000d,
  seriesInstanceUid: 0x0020000e,
  seriesNumber: 0x00200011,
  acquisitionNumber: 0x00200012,
  instanceNumber: 0x00200013,
  imagePosition: 0x00200032,
  imageOrientation: 0x00200037,
  frameOfReferenceUid: 0x00200052,
  framePlanePosition: 0x00209113,
  framePlaneOrientation: 0x00209116,
  frameContent: 0x00209111,
  frameAcquisitionNumber: 0x00209156,
  samplesPerPixel: 0x00280002,
  photometricInterpretation: 0x00280004,
  numberOfFrames: 0x00280008,
  rows: 0x00280010,
  columns: 0x00280011,
  pixelSpacing: 0x00280030,
  bitsAllocated: 0x00280100,
  bitsStored: 0x00280101,
  highBit: 0x00280102,
  pixelRepresentation: 0x00280103,
  pixelPadding: 0x00280120,
  rescaleIntercept: 0x00281052,
  rescaleSlope: 0x00281053,
  lossyCompression: 0x00282110,
  lossyRatio: 0x00282112,
  lossyMethod: 0x00282114,
  framePixelMeasures: 0x00289110,
  framePixelTransformation: 0x00289145,
  ctFrameType: 0x00189329,
  segmentationType: 0x00620001,
  segmentSequence: 0x00620002,
  segmentNumber: 0x00620004,
  segmentLabel: 0x00620005,
  segmentIdentification: 0x0062000a,
  referencedSegmentNumber: 0x0062000b,
  maximumFractionalValue: 0x0062000e,
  sharedFunctionalGroups: 0x52009229,
  perFrameFunctionalGroups: 0x52009230,
  extendedOffsetTable: 0x7fe00001,
  extendedOffsetLengths: 0x7fe00002,
  pixelData: 0x7fe00010,
} as const;

export const CT_IMAGE_STORAGE = '1.2.840.10008.5.1.4.1.1.2';
export const ENHANCED_CT_IMAGE_STORAGE = '1.2.840.10008.5.1.4.1.1.2.1';
export const LEGACY_ENHANCED_CT_IMAGE_STORAGE = '1.2.840.10008.5.1.4.1.1.2.2';
export const SEGMENTATION_STORAGE = '1.2.840.10008.5.1.4.1.1.66.4';
export const LABEL_MAP_SEGMENTATION_STORAGE = '1.2.840.10008.5.1.4.1.1.66.7';
export const DICOMDIR_STORAGE = '1.2.840.10008.1.3.10';
/** All secondary capture classes begin with it. */
export const SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7';

/** A tag as DICOM prints it: (0028,0010). */
export function tagName(tag: number): string {
  const hex = (tag >>> 0).toString(16).padStart(8, '0');
  return `(${hex.slice(0, 4)},${hex.slice(4)})`;
}
