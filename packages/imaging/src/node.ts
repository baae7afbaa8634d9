export { loadScannedSeries as loadDicomSeries, readScannedFile as readSliceFile } from './dicom/scan.js';
export { removeLeftBy, replaceFile, replaceFolder, writeFileAtomic } from './node/atomic-write.js';
export {
  readDicomFolder,
  readDicomZip,
  scanDicomFile,
  scanDicomFolder,
  scanDicomZip,
  studyUidOf,
} from './node/dicom-folder.js';
export type { DicomFolder } from './node/dicom-folder.js';
export { openZipFile } from './node/file-source.js';
export { findPair, isPairedName, readNiftiFile, readNiftiFileHeader, writeNiftiFile } from './node/nifti-file.js';
export type { NiftiFileWriteOptions } from './node/nifti-file.js';
export { kindOfInput, readVolume } from './node/read-volume.js';
export type { ReadVolume } from './node/read-volume.js';
export { inspect } from './node/inspect.js';
export type { InspectedSeries, InspectOptions, Inspection } from './node/inspect.js';
