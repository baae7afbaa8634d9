import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { toHuVolume, writeNiftiGz } from '@aaunet/imaging';
import { readDicomFolder } from '@aaunet/imaging/node';
import { zipSync } from 'fflate';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { CODE_STREAMS } from '../../imaging/src/dicom/codec/fixtures.js';
import { COMPRESSED, compressedFile } from '../../imaging/src/dicom/compressed-fixture.js';
import {
  BrowsedViewer,
  canBrowse,
  PATIENCE,
  phantomFolder,
  predictedLabels,
  removeFolder,
  shareOfEqual,
} from './testing-browser.js';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const DATA = process.env['AAUNET_TEST_DATA'] ?? resolve(ROOT, '../shared/data');
const has = (name: string): boolean => existsSync(join(DATA, name));
if (!has('ge-head-ct')) console.warn(`Tests of real DICOM files in the browser are skipped: none in ${DATA}.`);

let folder: string;
beforeAll(async () => {
  folder = await phantomFolder();
}, PATIENCE);
afterAll(() => removeFolder(folder));

describe.skipIf(!canBrowse)('what can be opened in Chromium', { timeout: PATIENCE }, () => {
  let viewer: BrowsedViewer;
  beforeAll(async () => {
    viewer = await BrowsedViewer.open({ model: join(folder, 'model.onnx') });
  }, PATIENCE);
  afterAll(() => viewer[Symbol.asyncDispose]());

  /** What is seen is what the command line reads: the network's labels are those of `aaunet predict`. */
  const isSame = async (input: string): Promise<void> => {
    await viewer.run();
    const [found, wanted] = [await viewer.savedLabels(), await predictedLabels(folder, input)];
    // The two runtimes round differently where two types are as likely as one another.
    expect(shareOfEqual(found.data, wanted.data)).toBeGreaterThanOrEqual(0.9999);
    expect(new Set(wanted.data).size).toBeGreaterThan(1);
  };

  it('a zip archive and a NIfTI file', async () => {
    const zip = join(folder, 'study.zip');
    const files: Record<string, Uint8Array> = {};
    for (const name of await readdir(join(folder, 'study'))) {
      files[`study/${name}`] = new Uint8Array(await readFile(join(folder, 'study', name)));
    }
    await writeFile(zip, zipSync(files));
    await viewer.openStudy('#file-input', zip);
    await isSame(zip);
    const nifti = join(folder, 'scan.nii.gz');
    await writeFile(nifti, writeNiftiGz(toHuVolume((await readDicomFolder(join(folder, 'study'))).volume)));
    await viewer.openStudy('#file-input', nifti);
    expect(await viewer.page.locator('#save-seg').isDisabled()).toBe(true);
    await isSame(nifti);
  });

  it('a folder that is dropped on the page', async () => {
    const drag = await viewer.context.newCDPSession(viewer.page);
    const data = { items: [], files: [join(folder, 'study')], dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
      await drag.send('Input.dispatchDragEvent', { type, x: 500, y: 400, data });
    }
    const count = (await readdir(join(folder, 'study'))).length;
    await viewer.says(`${count} slices open.`);
    await viewer.says(`${count} slices of 128 x 128`);
  });

  it.each(Object.entries(COMPRESSED))('DICOM in %s', async (name, { syntax, stream }) => {
    const study = join(folder, name);
    await mkdir(study);
    for (const [k, z] of [0, 5, 10].entries()) {
      await writeFile(join(study, `${k}.dcm`), compressedFile(z, syntax, [CODE_STREAMS[stream]]));
    }
    await viewer.openStudy('#folder-input', study);
    await isSame(study);
  });

  it.skipIf(!has('ge-head-ct'))('a real head with tilt and uneven slices, which it says', async () => {
    await viewer.openStudy('#folder-input', join(DATA, 'ge-head-ct'));
    expect(await viewer.page.locator('#warnings').textContent()).toMatch(/tilt/);
    const distorted = viewer.page.getByText('not true to scale');
    expect(await distorted.isHidden()).toBe(true);
    await viewer.page.click('text=Planes');
    await distorted.waitFor();
    await viewer.page.click('text=Axial');
    await distorted.waitFor({ state: 'hidden' });
    await isSame(join(DATA, 'ge-head-ct'));
  });

  it('nothing that is no head CT, and says what is wrong', async () => {
    const { page } = viewer;
    const buffer = Buffer.from('hello');
    await page.setInputFiles('#file-input', { name: 'a.txt', mimeType: 'text/plain', buffer });
    await page.getByRole('alert').getByText('Expected an axial CT series').waitFor();
    await page.setInputFiles('#model-input', { name: 'a.onnx', mimeType: 'application/octet-stream', buffer });
    await page.getByRole('alert').getByText('Expected an ONNX file').waitFor();
  });
});

describe.skipIf(!canBrowse)('where something is missing, the viewer', { timeout: PATIENCE }, () => {
  it('runs on the processor without WebGPU, and on WebGPU with the same result', async () => {
    const model = join(folder, 'model.onnx');
    const found: string[][] = [];
    for (const [gpu, backend] of [
      ['webgl', 'WebAssembly, '],
      ['webgpu', 'WebGPU'],
    ] as const) {
      await using viewer = await BrowsedViewer.open({ model, gpu });
      const network = await viewer.page.locator('#model-text').textContent();
      expect(network).toContain(`on ${backend}`);
      expect(network?.includes('This browser offers no WebGPU')).toBe(gpu === 'webgl');
      await viewer.openStudy('#folder-input', join(folder, 'study'));
      await viewer.run();
      found.push(await viewer.findings());
    }
    expect(found[0]).toEqual(found[1]);
  });

  it('says how to come by a network, and shows scans without one', async () => {
    await using viewer = await BrowsedViewer.open({});
    await viewer.says('Choose an ONNX file that "aaunet export" wrote');
    await viewer.openStudy('#folder-input', join(folder, 'study'));
    expect(await viewer.page.locator('#run').isDisabled()).toBe(true);
    await viewer.page.setInputFiles('#model-input', join(folder, 'model.onnx'));
    await viewer.says('Network pointwise ready.');
    await viewer.run();
  });

  it('says that it needs WebGL2', async () => {
    await using viewer = await BrowsedViewer.open({ model: join(folder, 'model.onnx'), gpu: 'none' });
    const words = viewer.page.getByRole('alert').getByText('This browser offers no WebGL2');
    await words.waitFor();
    await viewer.page.evaluate(`document.getElementById('error').textContent = ''`);
    await viewer.page.setInputFiles('#folder-input', join(folder, 'study'));
    await words.waitFor();
  });
});

describe.skipIf(!canBrowse)('on a phone, the viewer', { timeout: PATIENCE }, () => {
  const context = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

  it('scrolls with one finger, zooms with two, and paints', async () => {
    await using viewer = await BrowsedViewer.open({ model: join(folder, 'model.onnx'), context });
    const { page } = viewer;
    await page.setInputFiles('#file-input', join(folder, 'study', '0.dcm'));
    await viewer.says('1 slice open.');
    await viewer.openStudy('#folder-input', join(folder, 'study'));
    const slice = async (): Promise<number> => Number(await page.locator('#slice').inputValue());
    const before = await slice();
    await viewer.touch('touchStart', [[0.5, 0.7]]);
    for (const y of [0.65, 0.6, 0.55, 0.5]) await viewer.touch('touchMove', [[0.5, y]]);
    await viewer.touch('touchEnd', []);
    expect(await slice()).toBeGreaterThan(before);
    const picture = (): Promise<Buffer> => viewer.picture();
    const whole = await picture();
    const [place, now] = [await slice(), [0.4, 0.6] as const];
    await viewer.touch('touchStart', [
      [0.45, now[0]],
      [0.55, now[1]],
    ]);
    for (const wide of [0.1, 0.2, 0.3])
      await viewer.touch('touchMove', [
        [0.45 - wide, now[0]],
        [0.55 + wide, now[1]],
      ]);
    await viewer.touch('touchEnd', []);
    await expect.poll(picture).not.toEqual(whole);
    expect(await slice()).toBe(place);
    await page.tap('text=Brush');
    await viewer.touch('touchStart', [[0.5, 0.5]]);
    await viewer.touch('touchMove', [[0.55, 0.5]]);
    await viewer.touch('touchEnd', []);
    expect((await viewer.savedLabels()).data.some((label) => label > 0)).toBe(true);
    const fits = await page.evaluate('document.documentElement.scrollWidth <= innerWidth');
    expect(fits).toBe(true);
  });

  it('takes a pinch for no stroke, and a long press for nothing', async () => {
    await using viewer = await BrowsedViewer.open({ context });
    const { page } = viewer;
    await viewer.openStudy('#folder-input', join(folder, 'study'));
    await page.tap('text=Brush');
    const whole = await viewer.picture();
    await viewer.touch('touchStart', [[0.45, 0.5]]);
    await viewer.touch('touchMove', [[0.45, 0.52]]);
    for (const [type, wide] of [
      ['touchStart', 0.05],
      ['touchMove', 0.1],
      ['touchMove', 0.3],
    ] as const) {
      await viewer.touch(type, [
        [0.5 - wide, 0.5],
        [0.5 + wide, 0.5],
      ]);
    }
    await viewer.touch('touchEnd', []);
    await expect.poll(() => viewer.picture()).not.toEqual(whole);
    expect((await viewer.savedLabels()).data.some((label) => label > 0)).toBe(false);
    expect((await viewer.findings())[0]).toBe('ICH –');
    await page.tap('text=Look');
    await page.tap('text=Planes');
    await page.tap('text=Bone');
    const press = async (ms: number): Promise<Buffer> => {
      await viewer.touch('touchStart', [[0.5, 0.2]]);
      await page.evaluate(`new Promise((resolve) => setTimeout(resolve, ${ms}))`);
      await viewer.touch('touchEnd', []);
      return viewer.picture();
    };
    const short = await press(0);
    expect(await press(1200)).toEqual(short);
  });
});
