// Reads a folder of DICOM slices into a volume of HU, at the driver's word (see worker.mjs).
import { readDicomFolder } from '@aaunet/imaging/node';

import { residentMib, serve } from './worker.mjs';

const { folder } = JSON.parse(process.argv[2]);
await serve(() => readDicomFolder(folder), { baselineMib: residentMib() });
