import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { readNifti, toLabelVolume, writeDicomSeries, type Volume } from '@aaunet/imaging';

import { generatePhantom, serve, type ViewerServer } from 'aaunet';
import { predict } from 'aaunet/libtorch';
import {
  chromium,
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  type CDPSession,
  type Page,
} from 'playwright-core';

import { densityModel } from './testing-model.js';

const CHROMIUM = '/usr/bin/chromium';
const PAGE = fileURLToPath(new URL('../dist', import.meta.url));

/** Whether there is a browser and a built page to try in it. */
export const canBrowse = existsSync(CHROMIUM) && existsSync(join(PAGE, 'index.html'));
if (!canBrowse) console.warn(`The viewer's browser tests are skipped: no ${CHROMIUM}, or the page is not built.`);

/** Far beyond what a busy machine needs: nothing is waited for by the clock. */
export const PATIENCE = 240_000;

/** A folder with a phantom as a DICOM series in `study`, and a network in `model.onnx`. */
export async function phantomFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'aaunet-viewer-'));
  await mkdir(join(folder, 'study'));
  const { image } = generatePhantom({ size: 128, seed: 3, draft: true });
  for (const [k, bytes] of writeDicomSeries(image, { seed: 'viewer' }).entries()) {
    await writeFile(join(folder, 'study', `${k}.dcm`), bytes);
  }
  await writeFile(join(folder, 'model.onnx'), densityModel());
  return folder;
}

/** What `aaunet predict` outlines with the folder's network. */
export async function predictedLabels(folder: string, input: string): Promise<Volume<Uint8Array>> {
  const out = await mkdtemp(join(folder, 'predicted-'));
  const { predictions, failures } = await predict([input], { model: join(folder, 'model.onnx'), out });
  if (failures[0]) throw failures[0].error;
  const bytes = await readFile(join(predictions[0]!.folder, 'segmentation.nii.gz'));
  return toLabelVolume(readNifti(new Uint8Array(bytes)).volume);
}

export interface BrowseOptions {
  /** The ONNX file that is served; none where absent. */
  readonly model?: string;
  readonly gpu?: 'webgpu' | 'webgl' | 'none';
  readonly context?: BrowserContextOptions;
}

const GPU_FLAGS = {
  webgpu: ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-unsafe-swiftshader'],
  webgl: ['--enable-unsafe-swiftshader', '--use-gl=angle', '--use-angle=swiftshader'],
  none: ['--disable-3d-apis'],
} as const;

/** The viewer in a browser of its own, and what tests ask of it. */
export class BrowsedViewer {
  /** Addresses that were asked beside the viewer's server. */
  readonly foreign: string[] = [];
  /** Errors of scripts, and what the page's content security policy forbade. */
  readonly errors: string[] = [];
  #fingers: CDPSession | undefined;

  private constructor(
    readonly server: ViewerServer,
    readonly browser: Browser,
    readonly context: BrowserContext,
    readonly page: Page,
  ) {
    const isOwn = (url: string): boolean =>
      url.startsWith(server.url) || url.startsWith('data:') || url.startsWith(`blob:${server.url}`);
    context.on('request', (request) => {
      if (!isOwn(request.url())) this.foreign.push(request.url());
    });
    page.on('pageerror', (error) => this.errors.push(error.message));
    page.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) this.errors.push(message.text());
    });
  }

  static async open({ model, gpu = 'webgl', context: options = {} }: BrowseOptions): Promise<BrowsedViewer> {
    const server = await serve({ page: PAGE, model, port: 0 });
    const args = ['--no-sandbox', ...GPU_FLAGS[gpu]];
    const browser = await chromium.launch({ executablePath: CHROMIUM, args });
    const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, ...options });
    context.setDefaultTimeout(PATIENCE / 4);
    const viewer = new BrowsedViewer(server, browser, context, await context.newPage());
    await viewer.page.goto(server.url);
    if (model !== undefined && gpu !== 'none') await viewer.says('Network pointwise ready.');
    return viewer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close();
    await this.server.close();
  }

  async says(text: string): Promise<void> {
    await this.page.getByText(text).waitFor();
  }

  /** Opens a folder, or files, and waits until they are seen. */
  async openStudy(input: '#folder-input' | '#file-input', files: string | string[]): Promise<void> {
    await this.page.setInputFiles(input, files);
    await this.says('slices open.');
  }

  async run(): Promise<void> {
    await this.page.click('#run');
    await this.says('Done:');
  }

  /** The file that a button saves. */
  async saved(button: string): Promise<Uint8Array> {
    const download = this.page.waitForEvent('download');
    await this.page.click(button);
    return new Uint8Array(await readFile(await (await download).path()));
  }

  async savedLabels(): Promise<Volume<Uint8Array>> {
    return toLabelVolume(readNifti(await this.saved('#save-nifti')).volume);
  }

  /** The picture, as a PNG, once it stands still: while slices go by it has fewer pixels. */
  async picture(): Promise<Buffer> {
    for (let before = await this.page.locator('#canvas').screenshot(); ;) {
      await this.page.evaluate('new Promise((resolve) => setTimeout(resolve, 200))');
      const after = await this.page.locator('#canvas').screenshot();
      if (after.equals(before)) return after;
      before = after;
    }
  }

  /** What the table says of each type: mL, and the slice with most. */
  async findings(): Promise<string[]> {
    const rows = await this.page.locator('#findings tbody tr').allInnerTexts();
    return rows.map((row) => row.replaceAll(/\s+/g, ' ').trim());
  }

  /** Puts fingers on places of the picture, as parts of its width and height; moves them, or takes them off. */
  async touch(
    type: 'touchStart' | 'touchMove' | 'touchEnd',
    points: readonly (readonly [number, number])[],
  ): Promise<void> {
    const box = (await this.page.locator('#canvas').boundingBox())!;
    this.#fingers ??= await this.context.newCDPSession(this.page);
    await this.#fingers.send('Input.dispatchTouchEvent', {
      type,
      touchPoints: points.map(([x, y], id) => ({ x: box.x + x * box.width, y: box.y + y * box.height, id })),
    });
  }

  /** Presses at a place of the picture, as parts of its width and height, and draws to another. */
  async drag(
    from: readonly [number, number],
    to: readonly [number, number],
    button: 'left' | 'right' | 'middle' = 'left',
  ) {
    const box = (await this.page.locator('#canvas').boundingBox())!;
    const at = ([x, y]: readonly [number, number]) => [box.x + x * box.width, box.y + y * box.height] as const;
    await this.page.mouse.move(...at(from));
    await this.page.mouse.down({ button });
    await this.page.mouse.move(...at(to), { steps: 5 });
    await this.page.mouse.up({ button });
  }
}

/** Takes a folder of {@link phantomFolder} away again. */
export const removeFolder = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true });

/** Which share of the voxels have the same label. */
export const shareOfEqual = (a: Uint8Array, b: Uint8Array): number =>
  a.length === b.length ? a.reduce((sum, label, index) => sum + (label === b[index] ? 1 : 0), 0) / a.length : 0;
