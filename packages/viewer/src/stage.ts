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

/** What the page shows of scan and masks: a NiiVue canvas that is told, and says which slice it is at. */
export class Stage {
  readonly #nv: Niivue;
  #scan: Volume<Int16Array> | undefined;
  #layout: Layout = 'axial';
  #window: HuWindow = { center: 40, width: 80 };
  #frame = 0;
  #next = 0;
  onSlice: (slice: number) => void = () => undefined;
  onWindow: (window: HuWindow) => void = () => undefined;

  constructor(readonly canvas: HTMLCanvasElement) {
    this.#nv = new Niivue({
      isRadiologicalConvention: true,
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.45, 0.72, 1, 0.7],
      crosshairWidth: 0,
      dragAndDropEnabled: false,
      isOrientCube: false,
      textHeight: 0.035,
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
      this.onSlice(this.slice);
    };
    this.#nv.onIntensityChange = ({ cal_min, cal_max }) => {
      if (cal_min === undefined || cal_max === undefined || this.#layout === 'volume') return;
      this.#window = { center: (cal_min + cal_max) / 2, width: Math.max(1, cal_max - cal_min) };
      this.onWindow(this.#window);
    };
  }

  async start(): Promise<void> {
    await this.#nv.attachToCanvas(this.canvas, false);
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
    this.redraw();
  }

  setLayout(layout: Layout): void {
    this.#layout = layout;
    this.#nv.opts.crosshairWidth = layout === 'planes' ? 1 : 0;
    this.#nv.setSliceType(SLICE_TYPES[layout]);
    this.setWindow(this.#window);
  }

  setWindow(window: HuWindow): void {
    this.#window = window;
    const shown = this.#layout === 'volume' ? SURFACE : window;
    const volume = this.#nv.volumes[0];
    if (volume === undefined) return;
    volume.cal_min = shown.center - shown.width / 2;
    volume.cal_max = shown.center + shown.width / 2;
    this.#nv.opts.renderOverlayBlend = 0.2;
    this.#nv.updateGLVolume();
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
    this.redraw();
  }

  /** Takes over the labels of these slices (canonical order). */
  setLabels(labels: Uint8Array, slices: Iterable<number>): void {
    const bitmap = this.#nv.drawBitmap;
    if (this.#scan === undefined || bitmap === null) return;
    const size = this.#scan.rows * this.#scan.columns;
    for (const k of slices) bitmap.set(labels.slice(k * size, (k + 1) * size).reverse(), k * size);
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      this.#nv.refreshDrawing(true);
    });
  }

  /** The voxel under a pointer; undefined outside of the slices. */
  voxelAt(event: PointerEvent): Voxel | undefined {
    if (this.#scan === undefined || this.#layout === 'volume') return undefined;
    const box = this.canvas.getBoundingClientRect();
    const ratio = this.canvas.width / box.width;
    const frac = this.#nv.canvasPos2frac([(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio]);
    if (frac[0] < 0) return undefined;
    const [i, j, k] = this.#nv.frac2vox(frac);
    return [this.#scan.columns - 1 - i!, this.#scan.rows - 1 - j!, k!];
  }

  /** Draws at the next frame: many changes within one cost one drawing. */
  redraw(): void {
    cancelAnimationFrame(this.#next);
    this.#next = requestAnimationFrame(() => {
      this.#nv.drawScene();
    });
  }

  /** What is on view as a data URL of a PNG. */
  picture(): string {
    this.#nv.drawScene();
    return this.canvas.toDataURL('image/png');
  }
}
