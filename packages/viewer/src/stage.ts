import {
  affineColumn,
  affineFromColumns,
  LABELS,
  voxelToPatient,
  writeNifti,
  type HuWindow,
  type Volume,
} from '@aaunet/imaging';
import { NVImage, Niivue, SLICE_TYPE } from '@niivue/niivue';

export type Layout = 'axial' | 'planes' | 'volume';

/** A place in the scan: canonical column, row, slice. */
export type Voxel = readonly [column: number, row: number, slice: number];

/** Where a pointer is in the window. */
export type Pointer = Pick<PointerEvent, 'clientX' | 'clientY'>;
type Millimetres = readonly [number, number, number];
type vec3 = ReturnType<Niivue['canvasPos2frac']>;

const [MIN_ZOOM, MAX_ZOOM] = [0.5, 20];
/** Thinner lines fall between the pixels of a screen. */
const CROSSHAIR_MM = 1.2;
/** Pixels of the canvas between its edges and the letters at them. */
const LETTER_INSET = 6;

const opposite = ([x, y, z]: readonly [number, number, number]) => [-x, -y, -z] as const;

const SLICE_TYPES: Readonly<Record<Layout, SLICE_TYPE>> = {
  axial: SLICE_TYPE.AXIAL,
  planes: SLICE_TYPE.MULTIPLANAR,
  volume: SLICE_TYPE.RENDER,
};
/** Bone, so that the rendered head is a skull and not a block. */
const SURFACE: HuWindow = { center: 500, width: 700 };

/** The scan as NiiVue wants it: columns to the right, rows forwards, slices upwards, which is every slice reversed. */
function toRas({ data, columns, rows, slices, affine }: Volume<Int16Array>): Volume<Int16Array> {
  const size = rows * columns;
  const turned = new Int16Array(data.length);
  for (let k = 0; k < slices; k++) turned.set(data.slice(k * size, (k + 1) * size).reverse(), k * size);
  const [i, j, k] = [affineColumn(affine, 0), affineColumn(affine, 1), affineColumn(affine, 2)];
  const corner = voxelToPatient(affine, columns - 1, rows - 1, 0);
  return { data: turned, columns, rows, slices, affine: affineFromColumns(opposite(i), opposite(j), k, corner) };
}

/** Pixels of the canvas where a processor draws: about as many as a slice has, and fewer while slices go by. */
const SOFTWARE_PIXELS = { still: 300_000, moving: 60_000 };
/** Places that follow each other within so many milliseconds go by; after as many without another the picture is sharp again. */
const SETTLING_MS = 150;

/** Whether a processor draws in place of a GPU, as in virtual machines. */
function isSoftwareRendered(gl: WebGL2RenderingContext): boolean {
  const names = gl.getExtension('WEBGL_debug_renderer_info');
  const renderer = String(gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  return /swiftshader|llvmpipe|softpipe|basic render/i.test(renderer);
}

/** Texture units of the gradient that NiiVue computes of a volume, and of what it blurs for it: TEXTURE6 and TEXTURE8. */
const GRADIENT_UNITS: readonly number[] = [33990, 33992];

/** NiiVue without work that is not seen. */
class Scene extends Niivue {
  #next = 0;

  /** NiiVue draws at every change at once and waits for the GPU; here many changes within a frame cost one drawing. */
  override drawScene(): void {
    cancelAnimationFrame(this.#next);
    this.#next = requestAnimationFrame(() => {
      this.drawSceneCore();
    });
  }

  /** With every volume and window NiiVue computes gradients for lights, seconds without a GPU; ours has none: the smallest will do. */
  override rgbaTex(texture: WebGLTexture | null, unit: number, size: number[], isInit?: boolean): WebGLTexture | null {
    const [dimensions = 3, , , slices = 1] = size;
    return super.rgbaTex(texture, unit, GRADIENT_UNITS.includes(unit) ? [dimensions, 2, 2, slices] : size, isInit);
  }

  /** Letters of a slice that fills the canvas would touch its edges, and be cut there. */
  override drawSliceOrientationText(box: number[], slice: SLICE_TYPE, padding?: number[]): void {
    const [left = 0, top = 0, width = 0, height = 0] = box;
    const inset = width === this.gl.canvas.width ? LETTER_INSET : 0;
    super.drawSliceOrientationText([left + inset, top + inset, width - 2 * inset, height - 2 * inset], slice, padding);
  }
}

/** What the page shows of scan and masks: a NiiVue canvas that is told, and says which slice it is at. */
export class Stage {
  readonly #nv: Scene;
  #scan: Volume<Int16Array> | undefined;
  #layout: Layout = 'axial';
  #window: HuWindow = { center: 40, width: 80 };
  #windowing = 0;
  #isSoftware = false;
  #settling = 0;
  /** When the place last changed, in milliseconds of the page. */
  #moved = -Infinity;
  onSlice: (slice: number) => void = () => undefined;

  constructor(readonly canvas: HTMLCanvasElement) {
    this.#nv = new Scene({
      isRadiologicalConvention: true,
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.45, 0.72, 1, 0.7],
      crosshairWidth: 0,
      crosshairWidthUnit: 'mm',
      dragAndDropEnabled: false,
      isOrientCube: false,
      fontMinPx: 18,
      fontColor: [0.91, 0.93, 0.95, 1],
      multiplanarPadPixels: 28,
      showAllOrientationMarkers: true,
      // The face to the left, as on film.
      sagittalNoseLeft: true,
      show3Dcrosshair: false,
      logLevel: 'error',
      isColorbar: false,
      multiplanarForceRender: true,
      sliceType: SLICE_TYPE.AXIAL,
      viewModeHotKey: '',
      clipPlaneHotKey: '',
      cycleClipPlaneHotKey: '',
    });
    this.#nv.onLocationChange = () => {
      this.#hurry();
      this.onSlice(this.slice);
    };
  }

  async start(): Promise<void> {
    // NiiVue takes the context that is there: one without transparency, which nothing has to be drawn behind.
    this.canvas.getContext('webgl2', { alpha: false, antialias: false });
    await this.#nv.attachToCanvas(this.canvas, false);
    this.#isSoftware = isSoftwareRendered(this.#nv.gl);
    if (this.#isSoftware)
      new ResizeObserver(() => {
        this.#drawCoarsely(SOFTWARE_PIXELS.still);
      }).observe(this.canvas);
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

  /** Shows another scan, at the slice in its middle. */
  async show(scan: Volume<Int16Array>): Promise<void> {
    for (const volume of [...this.#nv.volumes]) this.#nv.removeVolume(volume);
    this.#scan = scan;
    const { center, width } = this.#window;
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
    this.setSlice(Math.floor(scan.slices / 2));
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
      const shown = this.#layout === 'volume' ? SURFACE : this.#window;
      const volume = this.#nv.volumes[0];
      if (volume === undefined) return;
      volume.cal_min = shown.center - shown.width / 2;
      volume.cal_max = shown.center + shown.width / 2;
      this.#nv.updateGLVolume();
    });
  }

  /** Enlarges the slices; what is under the pointer, else the middle of the picture, stays where it is. */
  zoom(factor: number, at: Pointer = this.#middle()): void {
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

  /** The whole slices again. */
  fit(): void {
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

  /** The voxel under a pointer; undefined outside of the slices. */
  voxelAt(pointer: Pointer): Voxel | undefined {
    const frac = this.#fractionAt(pointer);
    if (this.#scan === undefined || frac === undefined) return undefined;
    const [i, j, k] = this.#nv.frac2vox(frac);
    return [this.#scan.columns - 1 - i!, this.#scan.rows - 1 - j!, k!];
  }

  #fractionAt({ clientX, clientY }: Pointer): vec3 | undefined {
    if (this.#scan === undefined || this.#layout === 'volume') return undefined;
    const box = this.canvas.getBoundingClientRect();
    const ratio = this.canvas.width / box.width;
    const frac = this.#nv.canvasPos2frac([(clientX - box.left) * ratio, (clientY - box.top) * ratio]);
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
