import { LABELS, writeNifti, type HuWindow, type Volume } from '@aaunet/imaging';
import { NVImage, SLICE_TYPE, type Niivue } from '@niivue/niivue';

import type { Plane, Voxel } from './label-editor.js';
import { isSoftwareRendered, newScene, toRas } from './scene.js';
import type { Layout } from './session.js';

/** What a pointer is at: a voxel, and the plane in which it is seen. */
export interface Target {
  readonly voxel: Voxel;
  readonly plane: Plane;
}

/** Where a pointer is in the window. */
export type Pointer = Pick<PointerEvent, 'clientX' | 'clientY'>;
type Millimetres = readonly [number, number, number];
type vec3 = ReturnType<Niivue['canvasPos2frac']>;

const [MIN_ZOOM, MAX_ZOOM] = [0.5, 20];
/** Thinner lines fall between the pixels of a screen. */
const CROSSHAIR_MM = 1.2;
const SLICE_TYPES: Readonly<Record<Layout, SLICE_TYPE>> = {
  axial: SLICE_TYPE.AXIAL,
  planes: SLICE_TYPE.MULTIPLANAR,
  volume: SLICE_TYPE.RENDER,
};
/** Bone, so that the rendered head is a skull and not a block. */
const SURFACE: HuWindow = { center: 500, width: 700 };

/** Pixels of the canvas where a processor draws: about as many as a slice has, and fewer while slices go by. */
const SOFTWARE_PIXELS = { still: 300_000, moving: 60_000 };
/** Places that follow each other within so many milliseconds go by; after as many without another the picture is sharp again. */
const SETTLING_MS = 150;

/** Why nothing can be drawn. */
const NO_WEBGL =
  'This browser offers no WebGL2, which the images need: switch on hardware acceleration or use another browser.';
const LOST =
  'The browser has taken the graphics memory away and the images with it: wait a moment, or reload the page.';

/** What the page shows of scan and masks: a NiiVue canvas that is told, and says which slice it is at. */
export class Stage {
  #nv = newScene();
  #fault: string | undefined = NO_WEBGL;
  #scan: Volume<Int16Array> | undefined;
  #layout: Layout = 'axial';
  #window: HuWindow = { center: 40, width: 80 };
  #windowing = 0;
  #isSoftware = false;
  #settling = 0;
  /** When the place last changed, in milliseconds of the page. */
  #moved = -Infinity;
  onSlice: (slice: number) => void = () => undefined;
  /** The GPU has forgotten all that it had. */
  onLost: (words: string) => void = () => undefined;
  /** The GPU can draw again, and has to be told all anew. */
  onRestored: () => void = () => undefined;

  constructor(readonly canvas: HTMLCanvasElement) {}

  /** @throws Error of one sentence where the browser has no WebGL2 */
  async start(): Promise<void> {
    // NiiVue takes the context that is there: one without transparency, which nothing has to be drawn behind.
    if (this.canvas.getContext('webgl2', { alpha: false, antialias: false }) === null) throw new Error(NO_WEBGL);
    await this.#attach();
    this.canvas.addEventListener('webglcontextlost', (event) => {
      // Else it is never given back.
      event.preventDefault();
      this.#fault = LOST;
      this.onLost(LOST);
    });
    this.canvas.addEventListener('webglcontextrestored', () => {
      this.onRestored();
    });
    if (this.#isSoftware)
      new ResizeObserver(() => {
        this.#drawCoarsely(SOFTWARE_PIXELS.still);
      }).observe(this.canvas);
  }

  /** Draws again after the GPU has forgotten all; scan, masks and their colours have to be shown anew. */
  async restart(): Promise<void> {
    this.#nv.cleanup();
    this.#nv = newScene();
    await this.#attach();
    this.setLayout(this.#layout);
  }

  async #attach(): Promise<void> {
    this.#nv.onLocationChange = () => {
      this.#hurry();
      this.onSlice(this.slice);
    };
    await this.#nv.attachToCanvas(this.canvas, false);
    this.#isSoftware = isSoftwareRendered(this.#nv.gl);
    this.#fault = undefined;
  }

  /** Fewer pixels than the screen has: otherwise a processor draws ten frames a second. */
  #drawCoarsely(pixels: number): void {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = Math.min(devicePixelRatio, Math.sqrt(pixels / Math.max(1, clientWidth * clientHeight)));
    if (ratio === this.#nv.opts.forceDevicePixelRatio) return;
    this.#nv.setHighResolutionCapable(ratio);
    // A canvas of another size is black until it is drawn.
    this.#nv.drawSceneCore();
  }

  /** Where a processor draws, slices go by smoothly first, and are sharp once they stand; one alone is sharp at once. */
  #hurry(): void {
    const before = this.#moved;
    this.#moved = performance.now();
    if (!this.#isSoftware || this.#moved - before > SETTLING_MS) return;
    clearTimeout(this.#settling);
    this.#drawCoarsely(SOFTWARE_PIXELS.moving);
    this.#settling = window.setTimeout(() => {
      this.#drawCoarsely(SOFTWARE_PIXELS.still);
    }, SETTLING_MS);
  }

  get slice(): number {
    return this.#nv.frac2vox(this.#nv.scene.crosshairPos)[2];
  }

  /** Shows another scan, whole and at the slice in its middle. @throws Error of one sentence where nothing can be drawn */
  async show(scan: Volume<Int16Array>): Promise<void> {
    if (this.#fault !== undefined) throw new Error(this.#fault);
    for (const volume of [...this.#nv.volumes]) this.#nv.removeVolume(volume);
    this.#scan = scan;
    const { center, width } = this.#shownWindow;
    const nifti = writeNifti(toRas(scan));
    // With a range in the header NiiVue need not look for one in all voxels (NIfTI's cal_max and cal_min).
    const header = new DataView(nifti.buffer);
    header.setFloat32(124, center + width / 2, true);
    header.setFloat32(128, center - width / 2, true);
    const image = await NVImage.loadFromFile({
      file: new File([nifti], 'scan.nii'),
      colormap: 'gray',
      trustCalMinMax: true,
    });
    this.#nv.addVolume(image);
    this.#nv.createEmptyDrawing();
    this.fit();
    this.setSlice(Math.floor(scan.slices / 2));
  }

  get #shownWindow(): HuWindow {
    return this.#layout === 'volume' ? SURFACE : this.#window;
  }

  setSlice(slice: number): void {
    if (this.#scan === undefined) return;
    const place = this.#nv.frac2vox(this.#nv.scene.crosshairPos);
    const frac = this.#nv.vox2frac([place[0], place[1], slice]);
    this.#nv.scene.crosshairPos = frac;
    this.#hurry();
    this.#nv.drawScene();
  }

  setLayout(layout: Layout): void {
    this.#layout = layout;
    this.#nv.opts.crosshairWidth = layout === 'planes' ? CROSSHAIR_MM : 0;
    this.#nv.setSliceType(SLICE_TYPES[layout]);
    this.setWindow(this.#window);
  }

  setWindow(window: HuWindow): void {
    this.#window = window;
    cancelAnimationFrame(this.#windowing);
    this.#windowing = requestAnimationFrame(() => {
      const shown = this.#shownWindow;
      const volume = this.#nv.volumes[0];
      if (volume === undefined) return;
      volume.cal_min = shown.center - shown.width / 2;
      volume.cal_max = shown.center + shown.width / 2;
      this.#nv.updateGLVolume();
    });
  }

  /** Enlarges the slices, of which what is under the pointer, else the middle of the picture, stays where it is; or the head. */
  zoom(factor: number, at: Pointer = this.#middle()): void {
    if (this.#layout === 'volume') {
      this.#nv.setScale(Math.max(MIN_ZOOM, Math.min(MAX_ZOOM, this.#nv.scene.volScaleMultiplier * factor)));
      return;
    }
    const place = this.#millimetresAt(at);
    if (place === undefined) return;
    const [x, y, z, before] = this.#nv.scene.pan2Dxyzmm as unknown as [number, number, number, number];
    const after = Math.max(MIN_ZOOM, Math.min(MAX_ZOOM, before * factor));
    const kept = (pan: number, axis: 0 | 1 | 2): number => pan + place[axis] * (before - after);
    this.#nv.setPan2Dxyzmm([kept(x, 0), kept(y, 1), kept(z, 2), after]);
  }

  /** Moves the slices as a pointer goes from one place to another. */
  pan(from: Pointer, to: Pointer): void {
    const [start, end] = [this.#millimetresAt(from), this.#millimetresAt(to)];
    if (start === undefined || end === undefined) return;
    const [x, y, z, zoom] = this.#nv.scene.pan2Dxyzmm as unknown as [number, number, number, number];
    const moved = (pan: number, axis: 0 | 1 | 2): number => pan + zoom * (end[axis] - start[axis]);
    this.#nv.setPan2Dxyzmm([moved(x, 0), moved(y, 1), moved(z, 2), zoom]);
  }

  /** Turns the head by degrees: to the right, and upwards. */
  turn(azimuth: number, elevation: number): void {
    const { renderAzimuth, renderElevation } = this.#nv.scene;
    this.#nv.setRenderAzimuthElevation((renderAzimuth + azimuth) % 360, renderElevation + elevation);
  }

  /** The next slice of the plane under the pointer, as a wheel turns. */
  wheel(event: WheelEvent): void {
    this.#nv.wheelListener(event);
  }

  /** Goes to what is under a pointer, in all planes. */
  place(pointer: Pointer): void {
    const frac = this.#fractionAt(pointer);
    if (frac === undefined) return;
    this.#nv.scene.crosshairPos = frac;
    this.#nv.drawScene();
    this.#nv.createOnLocationChange();
  }

  /** The whole slices again. */
  fit(): void {
    this.#nv.setScale(1);
    this.#nv.setPan2Dxyzmm([0, 0, 0, 1]);
  }

  /** Colours of the masks: types in `hidden` are not seen. */
  setMasks(opacity: number, hidden: ReadonlySet<number>): void {
    const lut = this.#nv.drawLut.lut;
    for (const { id, color } of LABELS) {
      lut.set([...color, hidden.has(id) ? 0 : 255], 4 * id);
    }
    this.#nv.drawOpacity = opacity;
    this.#nv.drawRimOpacity = Math.min(1, opacity + 0.35);
    if (this.#scan === undefined) return;
    this.#nv.refreshColormaps();
    this.#nv.drawScene();
  }

  /** Takes over the labels (canonical order) of these slices, of all where they are absent. */
  setLabels(labels: Uint8Array, slices?: Iterable<number>): void {
    const bitmap = this.#nv.drawBitmap;
    if (this.#scan === undefined || bitmap === null) return;
    const size = this.#scan.rows * this.#scan.columns;
    for (const k of slices ?? Array(this.#scan.slices).keys()) {
      bitmap.set(labels.slice(k * size, (k + 1) * size).reverse(), k * size);
      if (slices !== undefined) this.#upload(bitmap.subarray(k * size, (k + 1) * size), k);
    }
    if (slices === undefined) this.#nv.refreshDrawing(false);
    this.#nv.drawScene();
  }

  /** Hands one slice of the masks to the GPU: NiiVue would send and look through all, too slow for a brush. */
  #upload(slice: Uint8Array, k: number): void {
    const { rows, columns } = this.#scan!;
    if (this.#nv.opts.is2DSliceShader) {
      this.#nv.refreshDrawing(false);
      return;
    }
    const { gl } = this.#nv;
    gl.activeTexture(gl.TEXTURE7);
    gl.bindTexture(gl.TEXTURE_3D, this.#nv.drawTexture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, k, columns, rows, 1, gl.RED, gl.UNSIGNED_BYTE, slice);
  }

  /** What is under a pointer; undefined outside of the slices. */
  targetAt(pointer: Pointer): Target | undefined {
    const frac = this.#fractionAt(pointer);
    if (this.#scan === undefined || frac === undefined) return undefined;
    const [i, j, k] = this.#nv.frac2vox(frac);
    const tile = this.#nv.screenSlices[this.#nv.tileIndex(...this.#pixelAt(pointer))];
    // NiiVue counts axial, coronal, sagittal.
    const plane = (2 - tile!.axCorSag) as Plane;
    return { voxel: [this.#scan.columns - 1 - i!, this.#scan.rows - 1 - j!, k!], plane };
  }

  #pixelAt({ clientX, clientY }: Pointer): [number, number] {
    const box = this.canvas.getBoundingClientRect();
    const ratio = this.canvas.width / box.width;
    return [(clientX - box.left) * ratio, (clientY - box.top) * ratio];
  }

  #fractionAt(pointer: Pointer): vec3 | undefined {
    if (this.#scan === undefined || this.#layout === 'volume') return undefined;
    const frac = this.#nv.canvasPos2frac(this.#pixelAt(pointer));
    return frac[0] < 0 ? undefined : frac;
  }

  #millimetresAt(pointer: Pointer): Millimetres | undefined {
    const frac = this.#fractionAt(pointer);
    return frac && (this.#nv.frac2mm(frac) as Millimetres);
  }

  #middle(): Pointer {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return { clientX: left + width / 2, clientY: top + height / 2 };
  }

  /** What is on view as a data URL of a PNG. */
  picture(): string {
    if (this.#isSoftware) this.#drawCoarsely(SOFTWARE_PIXELS.still);
    this.#nv.drawSceneCore();
    return this.canvas.toDataURL('image/png');
  }
}
