import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import {
  LABEL_NUMBERS,
  LABELS,
  NETWORK_WINDOW,
  labelVolumesMl,
  readDicomSegmentation,
  readNifti,
  toCanonical,
  toLabelVolume,
  writeDicomSeries,
  type Volume,
} from '@aaunet/imaging';
import { readDicomFolder } from '@aaunet/imaging/node';
import { generatePhantom, serve, type ViewerServer } from 'aaunet';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { readModelInfo } from './model-file.js';
import { segmentScan } from './segment-scan.js';
import { pointwiseOnnx } from './testing-onnx.js';

const CHROMIUM = '/usr/bin/chromium';
const PAGE = fileURLToPath(new URL('../dist', import.meta.url));
const SIZE = 96;
const METADATA = {
  format: 'aaunet-model-1',
  model: 'pointwise',
  labels: LABEL_NUMBERS,
  annotated: LABELS.map(({ name }) => name),
  window: NETWORK_WINDOW,
  size: SIZE,
  fit: 'pad',
  synthetic: true,
  sha256: 'ab'.repeat(32),
  export: { precision: 'fp32', software: 'test' },
};
/** Marks what is denser than brain as SDH, and bone as EDH, from three slices. */
const WEIGHT = new Float32Array(24);
const BIAS = new Float32Array(8);
for (const [label, factor, threshold] of [
  [2, 20, 0.53],
  [4, 60, 0.62],
] as const) {
  WEIGHT.set([factor / 4, factor / 2, factor / 4], label * 3);
  BIAS[label] = -factor * threshold;
}
const MODEL = pointwiseOnnx(WEIGHT, BIAS, SIZE, METADATA);

/** What the command line computes: the same pre- and postprocessing around the same arithmetic. */
async function expectedLabels(scan: Volume<Int16Array>): Promise<Uint8Array> {
  const canonical = toCanonical(scan).volume;
  const plane = canonical.rows * canonical.columns;
  const labels = new Uint8Array(canonical.data.length);
  const network = (input: Float32Array, size: number): Promise<Float32Array> => {
    const pixels = size * size;
    const logits = Float32Array.from({ length: 8 * pixels }, (_, index) => {
      const [label, pixel] = [Math.floor(index / pixels), index % pixels];
      return [0, 1, 2].reduce((sum, c) => sum + WEIGHT[label * 3 + c]! * input[c * pixels + pixel]!, BIAS[label]!);
    });
    return Promise.resolve(logits);
  };
  for await (const { slice, labels: own } of segmentScan(canonical, readModelInfo(MODEL), network)) {
    labels.set(own, slice * plane);
  }
  return labels;
}

describe('readModelInfo', () => {
  it('reads what an export says of itself, and refuses other files in words', () => {
    expect(readModelInfo(MODEL)).toMatchObject({ name: 'pointwise', size: SIZE, unmarked: [], synthetic: true });
    const few = pointwiseOnnx(WEIGHT, BIAS, SIZE, { ...METADATA, annotated: ['SDH'], untyped: ['EDH'] });
    expect(readModelInfo(few).unmarked).toEqual([1, 3, 5, 6, 7]);
    const fitOf = (fit?: string) => readModelInfo(pointwiseOnnx(WEIGHT, BIAS, SIZE, { ...METADATA, fit })).fit;
    expect([fitOf('pad'), fitOf()]).toEqual(['pad', 'stretch']);
    expect(() => fitOf('crop')).toThrow('slices that are pad or stretch');
    expect(() => readModelInfo(new TextEncoder().encode('hello, no network here'))).toThrow('Expected an ONNX file');
    expect(() => readModelInfo(MODEL.subarray(0, 60))).toThrow('Expected an ONNX file');
    expect(() => readModelInfo(pointwiseOnnx(WEIGHT, BIAS, SIZE, { ...METADATA, size: 7 }))).toThrow(
      'Expected an ONNX file',
    );
    const swapped = pointwiseOnnx(WEIGHT, BIAS, SIZE, { ...METADATA, labels: { ...LABEL_NUMBERS, ICH: 2, SDH: 1 } });
    expect(() => readModelInfo(swapped)).toThrow(/labels of the model.*expected background 0, ICH 1.*found "ICH" 2/);
  });
});

const isReady = existsSync(CHROMIUM) && existsSync(join(PAGE, 'index.html'));
if (!isReady) console.warn(`The viewer's browser tests are skipped: no ${CHROMIUM}, or the page is not built.`);

describe.skipIf(!isReady)('the viewer in Chromium', () => {
  let folder: string;
  let server: ViewerServer;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  const foreign: string[] = [];
  const errors: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'aaunet-viewer-'));
    await mkdir(join(folder, 'study'));
    const { image: scan } = generatePhantom({ size: 128, seed: 3, draft: true });
    for (const [k, bytes] of writeDicomSeries(scan, { seed: 'viewer' }).entries()) {
      await writeFile(join(folder, 'study', `${k}.dcm`), bytes);
    }
    await writeFile(join(folder, 'model.onnx'), MODEL);
    server = await serve({ page: PAGE, model: join(folder, 'model.onnx'), port: 0 });
    const args = ['--no-sandbox', '--enable-unsafe-swiftshader', '--use-gl=angle', '--use-angle=swiftshader'];
    browser = await chromium.launch({ executablePath: CHROMIUM, args });
    context = await browser.newContext({ acceptDownloads: true, viewport: { width: 1400, height: 900 } });
    page = await context.newPage();
    context.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(server.url) && !url.startsWith('data:') && !url.startsWith(`blob:${server.url}`))
        foreign.push(url);
    });
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) errors.push(message.text());
    });
    await page.goto(`${server.url}?backend=wasm`);
    await page.getByText('Network pointwise ready.').waitFor();
  }, 120_000);

  afterAll(async () => {
    await (browser as Browser | undefined)?.close();
    await (server as ViewerServer | undefined)?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const saved = async (button: string): Promise<Uint8Array> => {
    const download = page.waitForEvent('download');
    await page.click(button);
    return new Uint8Array(await readFile(await (await download).path()));
  };
  const savedLabels = async (): Promise<Volume<Uint8Array>> =>
    toLabelVolume(readNifti(await saved('#save-nifti')).volume);

  it('outlines a dropped series as the command line does, is corrected, and saves what it shows', async () => {
    const { volume } = await readDicomFolder(join(folder, 'study'));
    await page.setInputFiles('#folder-input', join(folder, 'study'));
    await page.getByText(`${volume.slices} slices open.`).waitFor();
    await page.click('#run');
    await page.getByText(`Done: ${volume.slices} slices.`).waitFor();

    const labels = await savedLabels();
    const expected = await expectedLabels(volume);
    const found = toCanonical(labels).volume;
    const equal = found.data.reduce((sum, label, index) => sum + (label === expected[index] ? 1 : 0), 0);
    expect(equal / expected.length).toBeGreaterThanOrEqual(0.9999);
    labels.affine.flat().forEach((value, index) => {
      expect(value).toBeCloseTo(volume.affine.flat()[index]!, 3);
    });
    const ml = labelVolumesMl({ ...volume, data: labels.data })[2]!;
    expect(await page.locator('#findings tbody tr').nth(1).locator('td').nth(1).textContent()).toBe(ml.toFixed(1));
    expect(await page.locator('#warnings').textContent()).toContain('synthetic data');

    await page.selectOption('#brush-label', '7');
    await page.keyboard.press('b');
    const canvas = (await page.locator('#canvas').boundingBox())!;
    await page.mouse.move(canvas.x + canvas.width / 2, canvas.y + canvas.height / 2);
    await page.mouse.down();
    await page.mouse.move(canvas.x + canvas.width / 2 + 40, canvas.y + canvas.height / 2, { steps: 4 });
    await page.mouse.up();
    const edited = await savedLabels();
    const painted = edited.data.filter((label) => label === 7).length;
    expect(painted).toBeGreaterThan(20);
    // Where the pointer was: the middle of the picture is the middle of the slice on view.
    const first = toCanonical(edited).volume.data.indexOf(7);
    const { rows, columns, slices } = volume;
    expect(Math.floor(first / (rows * columns))).toBe(Math.floor(slices / 2));
    expect(Math.abs((Math.floor(first / columns) % rows) - rows / 2)).toBeLessThan(7);
    expect((first % columns) - columns / 2).toBeGreaterThan(-5);
    expect((first % columns) - columns / 2).toBeLessThan(16);
    const segmentation = readDicomSegmentation(await saved('#save-seg'));
    expect(segmentation.segments).toHaveLength(7);
    await page.keyboard.press('Control+z');
    expect((await savedLabels()).data).toEqual(labels.data);
    await page.keyboard.press('Control+y');
    expect((await savedLabels()).data).toEqual(edited.data);

    const report = new TextDecoder().decode(await saved('#save-report'));
    expect(report).toContain('Research use only');
    expect(report).toContain('corrected by hand');
    expect(report).not.toMatch(/PHANTOM\^|src="(?!data:)/);
  }, 120_000);

  it('runs the network through WebGPU where there is an adapter, with the same result', async () => {
    const gpu = ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];
    await using other = await chromium.launch({
      executablePath: CHROMIUM,
      args: [...gpu, '--enable-unsafe-swiftshader'],
    });
    const second = await other.newPage();
    await second.goto(server.url);
    await second.getByText('Network pointwise ready.').waitFor();
    expect(await second.locator('#model-text').textContent()).toContain('on WebGPU');
    await second.setInputFiles('#folder-input', join(folder, 'study'));
    await second.getByText('slices open.').waitFor();
    await second.click('#run');
    await second.getByText('Done:').waitFor({ timeout: 60_000 });
    const cells = '#findings tbody tr td:nth-child(2)';
    await page.keyboard.press('Control+z');
    expect(await second.locator(cells).allTextContents()).toEqual(await page.locator(cells).allTextContents());
  }, 90_000);

  it('works with the keyboard alone', async () => {
    await page.locator('#canvas').focus();
    await page.keyboard.press('l');
    await page.keyboard.press('Home');
    expect(await page.locator('#slice').inputValue()).toBe('1');
    await page.keyboard.press('ArrowUp');
    expect(await page.locator('#slice').inputValue()).toBe('2');
    await page.keyboard.press('3');
    expect(await page.locator('#width').inputValue()).toBe('2800');
    for (const key of ['p', 'v', 'a', '1']) await page.keyboard.press(key);
    expect(await page.locator('#width').inputValue()).toBe('80');
  });

  it.each(['light', 'dark'] as const)(
    'breaks no rule of WCAG 2 AA that axe-core can check, %s',
    async (colorScheme) => {
      await page.emulateMedia({ colorScheme });
      const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
      const violations =
        await page.evaluate(`(() => { ${axe}; return axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] })
      .then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html).join(' '))); })()`);
      expect(violations).toEqual([]);
    },
  );

  it('says what is wrong with a file that it cannot read', async () => {
    await page.setInputFiles('#file-input', { name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('hello') });
    await page.getByRole('alert').getByText('Expected an axial CT series').waitFor();
  });

  it('asked nobody but its own server, and works without it once loaded', async () => {
    await page.evaluate('navigator.serviceWorker.ready.then(() => undefined)');
    await page.reload();
    await page.getByText('Network pointwise ready.').waitFor();
    await server.close();
    await page.reload();
    await page.getByText('Network pointwise ready.').waitFor();
    await page.setInputFiles('#folder-input', join(folder, 'study'));
    await page.getByText('slices open.').waitFor();
    await page.click('#run');
    await page.getByText('Done:').waitFor();
    expect(foreign).toEqual([]);
    expect(errors).toEqual([]);
  }, 120_000);
});
