import { affineColumn, affineFromColumns, voxelToPatient, type Volume } from '@aaunet/imaging';
import { Niivue, SHOW_RENDER, SLICE_TYPE } from '@niivue/niivue';

/** Pixels of the canvas between its edges and the letters at them. */
const LETTER_INSET = 6;

const opposite = ([x, y, z]: readonly [number, number, number]) => [-x, -y, -z] as const;

/** The scan as NiiVue wants it: columns to the right, rows forwards, slices upwards, which is every slice reversed. */
export function toRas({ data, columns, rows, slices, affine }: Volume<Int16Array>): Volume<Int16Array> {
  const size = rows * columns;
  const turned = new Int16Array(data.length);
  for (let k = 0; k < slices; k++) turned.set(data.slice(k * size, (k + 1) * size).reverse(), k * size);
  const [i, j, k] = [affineColumn(affine, 0), affineColumn(affine, 1), affineColumn(affine, 2)];
  const corner = voxelToPatient(affine, columns - 1, rows - 1, 0);
  return { data: turned, columns, rows, slices, affine: affineFromColumns(opposite(i), opposite(j), k, corner) };
}

/** Whether a processor draws in place of a GPU, as in virtual machines. */
export function isSoftwareRendered(gl: WebGL2RenderingContext): boolean {
  const names = gl.getExtension('WEBGL_debug_renderer_info');
  const renderer = String(gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  return /swiftshader|llvmpipe|softpipe|basic render/i.test(renderer);
}

/** Texture units of the gradient that NiiVue computes of a volume, and of what it blurs for it: TEXTURE6 and TEXTURE8. */
const GRADIENT_UNITS: readonly number[] = [33990, 33992];

/** NiiVue without work that is not seen. */
export class Scene extends Niivue {
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

  /** Letters at the edges of the canvas would touch them, and be cut there. */
  override drawSliceOrientationText(box: number[], slice: SLICE_TYPE, padding?: number[]): void {
    const [left = 0, top = 0, width = 0, height = 0] = box;
    const { canvas } = this.gl;
    const [x, y] = [Math.max(left, LETTER_INSET), Math.max(top, LETTER_INSET)];
    const right = Math.min(left + width, canvas.width - LETTER_INSET);
    const bottom = Math.min(top + height, canvas.height - LETTER_INSET);
    super.drawSliceOrientationText([x, y, right - x, bottom - y], slice, padding);
  }
}

export const newScene = (): Scene =>
  new Scene({
    isRadiologicalConvention: true,
    backColor: [0, 0, 0, 1],
    crosshairColor: [0.45, 0.72, 1, 0.7],
    crosshairWidth: 0,
    crosshairWidthUnit: 'mm',
    dragAndDropEnabled: false,
    // What pointers and keys do is the page's business alone.
    interactive: false,
    isOrientCube: false,
    fontMinPx: 18,
    fontColor: [0.91, 0.93, 0.95, 1],
    multiplanarPadPixels: 28,
    // It would need a window of its own.
    multiplanarShowRender: SHOW_RENDER.NEVER,
    showAllOrientationMarkers: true,
    // The face to the left, as on film.
    sagittalNoseLeft: true,
    show3Dcrosshair: false,
    logLevel: 'error',
    isColorbar: false,
    sliceType: SLICE_TYPE.AXIAL,
  });
