export {
  affineColumn,
  affineDeterminant,
  affineFromColumns,
  affineFromDicom,
  flipLpsRas,
  medianOf,
  patientToVoxel,
  sliceExtents,
  sliceNormal,
  spacingOf,
  tiltDegrees,
  voxelToPatient,
  voxelVolumeMl,
  voxelVolumesMl,
} from './affine.js';
export type { DicomStack, Vector3 } from './affine.js';
export { fromCanonical, toCanonical } from './canonical.js';
export type { AxisMap, Canonical } from './canonical.js';
export { connectedComponents } from './components.js';
export type { Components } from './components.js';
export { toHuVolume, toLabelVolume } from './convert.js';
export { count } from './count.js';
export { crc32 } from './crc32.js';
export { chooseDicomSeries, selectorOf, whyNotChosen } from './dicom/choose.js';
export type { SeriesChoice } from './dicom/choose.js';
export { loadDicomCodec } from './dicom/codec/decode-frame.js';
export { setCodecLocation } from './dicom/codec/wasm.js';
export { readGrayJpeg } from './dicom/codec/jpeg.js';
export type { GrayPicture } from './dicom/codec/jpeg.js';
export type { DicomDataset } from './dicom/dataset.js';
export { dicomdirFiles } from './dicom/dicomdir.js';
export { parseDicom } from './dicom/parse.js';
export type { DicomFile } from './dicom/parse.js';
export { decodeDicomSlice } from './dicom/pixels.js';
export type { DecodedSlice } from './dicom/pixels.js';
export { readDicomSeries } from './dicom/read.js';
export type { DicomReadOptions, DicomVolume, NamedBytes, SkippedFile } from './dicom/read.js';
export type { DicomElement } from './dicom/reader.js';
export { placeSegmentation, readDicomSegmentation } from './dicom/segmentation-read.js';
export type {
  DicomSegment,
  DicomSegmentation,
  DicomSegmentFrame,
  PlacedSegmentation,
} from './dicom/segmentation-read.js';
export { loadChosenSeries, readScannedFile } from './dicom/scan.js';
export type { DicomFolder, FileSource } from './dicom/scan.js';
export { describeSeries, groupDicomSeries } from './dicom/series.js';
export type { DicomProblem, DicomProblemCode, DicomSeries } from './dicom/series.js';
export { readDicomSlice, readDicomSlices } from './dicom/slice.js';
export type { DicomSlice, Orientation, PixelEncoding } from './dicom/slice.js';
export type { PixelCodec } from './dicom/syntaxes.js';
export { FINDING_CODES } from './dicom/finding-codes.js';
export type { FindingCodes } from './dicom/finding-codes.js';
export { writeDicomSegmentation, writeFractionalSegmentation } from './dicom/segmentation-write.js';
export { readResultSource } from './dicom/result.js';
export type { DicomResult, ResultMaker, ResultSource } from './dicom/result.js';
export type { SourceHeader } from './dicom/source-header.js';
export { COMPREHENSIVE_3D_SR_STORAGE, writeStructuredReport } from './dicom/structured-report.js';
export type { ReportedVolume } from './dicom/structured-report.js';
export { SEGMENTATION_STORAGE } from './dicom/tags.js';
export { uidFromSeed } from './dicom/uid.js';
export { DicomVolumeBuilder } from './dicom/volume-builder.js';
export { writeDicomSeries } from './dicom/write.js';
export type { DicomWriteMeta } from './dicom/write.js';
export { kindOfStart, START_BYTES } from './file-kind.js';
export { ImagingError, messageOf } from './imaging-error.js';
export type { ImagingErrorCode } from './imaging-error.js';
export { CLASS_COUNT, isBlood, LABEL_NUMBERS, LABELS, labelById, labelByName, labelTableFault } from './labels.js';
export type { Label, LabelName } from './labels.js';
export { classProbabilities, likeliestLabels } from './likeliest-labels.js';
export type { LogitShape } from './likeliest-labels.js';
export { formatMl, labelVolumesMl, valueRange } from './measure.js';
export type { ValueRange } from './measure.js';
export type { NiftiImage, NiftiReadOptions } from './nifti/assembler.js';
export type { NiftiHeader, NiftiProblem, NiftiProblemCode, NiftiType } from './nifti/header.js';
export { isGzip, readNifti, readNiftiPair } from './nifti/read.js';
export { writeNifti, writeNiftiGz } from './nifti/write.js';
export type { NiftiWriteOptions } from './nifti/write.js';
export { readBlobs } from './read-blobs.js';
export type { BlobStudy, NamedBlob } from './read-blobs.js';
export { roundHalfToEven } from './round.js';
export { sha256, toHex } from './sha256.js';
export { sliceOf, stackThree } from './slices.js';
export { SQUARE_FITS, SquarePlane } from './square-plane.js';
export type { SquareFit } from './square-plane.js';
export { DISPLAY_WINDOWS, NETWORK_WINDOW, windowToGray, windowToInput } from './window.js';
export type { HuWindow } from './window.js';
export type { Affine, Volume, VoxelArray } from './volume.js';
export { openZip } from './zip.js';
export type { RandomAccess, ZipEntry } from './zip.js';
