/**
 * Reads a folder of CT slices side by side with pydicom and NumPy, uncompressed and as JPEG lossless.
 *
 *   npm run bench:dicom -- SERIES [--slices 200] [--runs 5] [--python python3]
 *
 * SERIES is any folder with a CT series; its slices are repeated upwards to the number asked for. The compressed copy is
 * made with dcmcjpeg (DCMTK), pydicom needs a JPEG lossless decoder (pylibjpeg, GDCM or imagecodecs).
 */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { performance } from 'node:perf_hooks';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { writeDicomSeries } from '@aaunet/imaging';
import { readDicomFolder } from '@aaunet/imaging/node';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    slices: { type: 'string', default: '200' },
    runs: { type: 'string', default: '5' },
    python: { type: 'string', default: 'python3' },
  },
});
const [source] = positionals;
if (source === undefined) throw new Error('Expected a folder with a CT series, found no argument.');
const runs = Number(values.runs);
const folder = await mkdtemp(join(tmpdir(), 'aaunet-bench-dicom-'));

/** The source's slices again and again, 5 mm apart, as files of their own. */
async function makeSeries(count) {
  const { volume } = await readDicomFolder(source);
  const { rows, columns, data } = volume;
  const size = rows * columns;
  const repeated = new Int16Array(count * size);
  for (let k = 0; k < count; k++) {
    const from = (k % volume.slices) * size;
    repeated.set(data.subarray(from, from + size), k * size);
  }
  const affine = [
    [-0.5, 0, 0, 125],
    [0, -0.5, 0, 125],
    [0, 0, 5, 0],
    [0, 0, 0, 1],
  ];
  return writeDicomSeries({ data: repeated, slices: count, rows, columns, affine }, { seed: 'bench' });
}

async function ours(path) {
  const times = [];
  for (let run = 0; run <= runs; run++) {
    const start = performance.now();
    const { volume } = await readDicomFolder(path);
    // The first run also compiles.
    if (run > 0) times.push((performance.now() - start) / volume.slices);
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
}

function theirs(path) {
  const script = new URL('dicom_peer.py', import.meta.url).pathname;
  return JSON.parse(execFileSync(values.python, [script, path, String(runs)], { encoding: 'utf8' }));
}

try {
  const plain = join(folder, 'plain');
  const packed = join(folder, 'jpeg-lossless');
  await mkdir(plain);
  await mkdir(packed);
  for (const [k, bytes] of (await makeSeries(Number(values.slices))).entries()) {
    await writeFile(join(plain, `${String(k).padStart(4, '0')}.dcm`), bytes);
  }
  for (const name of await readdir(plain)) execFileSync('dcmcjpeg', ['+e1', join(plain, name), join(packed, name)]);
  for (const path of [plain, packed]) {
    const [mine, peer] = [await ours(path), theirs(path)];
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    console.log(
      JSON.stringify({
        encoding: path.split('/').at(-1),
        slices: Number(values.slices),
        aaunet_ms_per_slice: Number(mine.toFixed(3)),
        pydicom_ms_per_slice: Number(peer.ms_per_slice.toFixed(3)),
        pydicom_decoder: peer.decoder,
        times_faster: Number((peer.ms_per_slice / mine).toFixed(2)),
        peak_rss_mib: Math.round(process.resourceUsage().maxRSS / 1024),
        now_mib: Math.round((heapUsed + external + arrayBuffers) / 2 ** 20),
      }),
    );
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
