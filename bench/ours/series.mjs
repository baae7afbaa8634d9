// Segments a series of so many slices as `predict` does, at the driver's word (see worker.mjs).
import { loadEngine } from '../../packages/aaunet/dist/inference/engine.js';
import { tinyScan } from '../../packages/aaunet/dist/testing/tiny-dataset.js';
import { residentMib, serve } from './worker.mjs';

const { run, size, slices, device, threads } = JSON.parse(process.argv[2]);
const { scan } = tinyScan('bench', size);
const data = new Int16Array(slices * size * size);
for (let k = 0; k < slices; k++) data.set(scan.data.subarray(0, size * size), k * size * size);
const baselineMib = residentMib();
const engine = await loadEngine(run, { device, threads, batch: 4 });
await serve(() => engine.segment({ ...scan, slices, data }), { baselineMib });
await engine.close();
