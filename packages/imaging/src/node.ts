export { writeFileAtomically } from './node/atomic-write.js';
export { readNiftiFile, writeNiftiFile } from './node/nifti-file.js';
export type { NiftiFileWriteOptions } from './node/nifti-file.js';
