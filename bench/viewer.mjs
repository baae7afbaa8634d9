// npm run bench:viewer -- [STUDY [MODEL.onnx]]: how quick the viewer is in Debian's Chromium without a GPU. Opens a DICOM folder (or a
// phantom of 40 slices of 512 x 512), and prints the seconds from drop to first image, the milliseconds a frame takes while a wheel
// scrolls through all slices, and, with a network, the seconds a slice takes and which share of the voxels gets the label that
// "aaunet predict" gives.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { readNifti, toLabelVolume, writeDicomSeries } from '@aaunet/imaging';

import { generatePhantom, serve } from '../packages/aaunet/dist/index.js';
import { predict } from '../packages/aaunet/dist/inference/predict.js';

const { chromium } = createRequire(new URL('../packages/viewer/package.json', import.meta.url))('playwright-core');
const PATIENCE = 600_000;
const [given, model] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'aaunet-bench-viewer-'));

function phantomStudy() {
  const study = join(folder, 'study');
  mkdirSync(study);
  const { image } = generatePhantom({ seed: 1, size: 512, slices: 40 });
  for (const [k, bytes] of writeDicomSeries(image, { seed: 'bench' }).entries()) {
    writeFileSync(join(study, `${k}.dcm`), bytes);
  }
  return study;
}

const quantile = (values, share) => values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))];

/** Frames while a wheel turns by a slice at each, from the first slice to the last and back; in the page. */
const scroll = (slices) =>
  new Promise((resolve) => {
    const canvas = document.getElementById('canvas');
    const box = canvas.getBoundingClientRect();
    const at = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 };
    const frames = [];
    const turn = (before) => {
      requestAnimationFrame((now) => {
        frames.push(now - before);
        if (frames.length > 2 * slices) resolve(frames.slice(1));
        else {
          const deltaY = frames.length <= slices ? -1 : 1;
          canvas.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY, bubbles: true, cancelable: true }));
          turn(now);
        }
      });
    };
    turn(performance.now());
  });

const server = await serve({
  page: fileURLToPath(new URL('../packages/viewer/dist', import.meta.url)),
  model,
  port: 0,
});
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--enable-unsafe-swiftshader', '--use-gl=angle', '--use-angle=swiftshader'],
});
try {
  const study = given ?? phantomStudy();
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  page.setDefaultTimeout(PATIENCE);
  await page.goto(server.url);
  if (model) await page.getByText(/^Network .* ready\.$/).waitFor();
  const result = {};
  for (const key of ['firstImage', 'firstImageAgain']) {
    await page.setInputFiles('#folder-input', study);
    await page.waitForFunction(() => performance.getEntriesByName('aaunet-first-image').length > 0);
    result[key] = await page.evaluate(() => {
      const at = (name) => performance.getEntriesByName(name).at(-1).startTime;
      const seconds = (at('aaunet-first-image') - at('aaunet-drop')) / 1000;
      performance.clearMarks();
      return Number(seconds.toFixed(2));
    });
  }
  const slices = Number(await page.locator('#slice').getAttribute('max'));
  await page.locator('#slice').fill('1');
  const frames = await page.evaluate(scroll, slices);
  const rounded = (share) => Number(quantile(frames, share).toFixed(1));
  Object.assign(result, { slices, frameMs: { median: rounded(0.5), p95: rounded(0.95), max: rounded(1) } });
  if (model) {
    const started = performance.now();
    await page.click('#run');
    await page.getByText('Done:').waitFor();
    result.runSecondsASlice = Number(((performance.now() - started) / 1000 / slices).toFixed(2));
    const download = page.waitForEvent('download');
    await page.click('#save-nifti');
    const labelsIn = (path) => toLabelVolume(readNifti(new Uint8Array(readFileSync(path))).volume).data;
    const found = labelsIn(await (await download).path());
    const { predictions } = await predict([study], { model, out: join(folder, 'predicted') });
    const wanted = labelsIn(join(predictions[0].folder, 'segmentation.nii.gz'));
    result.sameLabels = wanted.reduce((sum, label, index) => sum + (label === found[index]), 0) / wanted.length;
    result.marked = wanted.reduce((sum, label) => sum + (label > 0), 0);
  }
  console.log(JSON.stringify(result));
} finally {
  await browser.close();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
}
