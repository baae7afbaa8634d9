import { count, formatMl, LABELS, type Volume } from '@aaunet/imaging';
import { encode } from 'fast-png';
import { CHARACTER_HEIGHT, textWidth } from './bitmap-font.js';
import { Canvas, type Color } from './canvas.js';
import { type DisplayGeometry, displayGeometry, greySlice, maskSlice, withoutAir } from './display-slice.js';
import { sliceRanges, type SegmentationReport } from './report.js';
import { AMBER, GREY, LINE, MARGIN, TEXT_SCALE, WHITE, sheetHeader, wrap } from './sheet-text.js';

/** Window in which radiologists look at brain: centre 40, width 80 HU. */
export const BRAIN_WINDOW = { center: 40, width: 80 };
const MAX_TILES = 48;
const GAP = 6;
/** Pixels of a legend's line; a type that is found in many runs of slices takes more lines. */
const LEGEND_WIDTH = 520;

/** Where a contour of the given thickness lies outside of a mask, as offsets from a pixel of the mask. */
const RIM: Readonly<Record<number, readonly (readonly [number, number])[]>> = {
  1: [
    [0, -1],
    [-1, 0],
    [1, 0],
    [0, 1],
  ],
  2: [
    [0, -1],
    [-1, 0],
    [1, 0],
    [0, 1],
    [-1, -1],
    [1, -1],
    [-1, 1],
    [1, 1],
    [0, -2],
    [-2, 0],
    [2, 0],
    [0, 2],
  ],
};

/**
 * The slices to show, in display order: all of them, or of a long series the same number of neighbours for every tile,
 * from which the slice with most marked voxels is taken.
 */
export function chooseSlices(order: readonly number[], marked: readonly number[], most = MAX_TILES): number[] {
  const tiles = Math.min(most, order.length);
  return Array.from({ length: tiles }, (_, tile) => {
    const group = order.slice(
      Math.floor((tile * order.length) / tiles),
      Math.floor(((tile + 1) * order.length) / tiles),
    );
    const middle = group[Math.floor(group.length / 2)]!;
    return group.reduce((best, slice) => ((marked[slice] ?? 0) > (marked[best] ?? 0) ? slice : best), middle);
  });
}

function markedPerSlice({ data, slices, rows, columns }: Volume<Uint8Array>): number[] {
  return Array.from({ length: slices }, (_, k) => {
    let count = 0;
    for (const label of data.subarray(k * rows * columns, (k + 1) * rows * columns)) if (label !== 0) count++;
    return count;
  });
}

/** Where in a picture a slice is drawn, in pixels. */
export interface Tile {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

function drawContour(canvas: Canvas, tile: Tile, mask: Uint8Array, color: Color, thickness: 1 | 2): void {
  const isInside = (x: number, y: number): boolean =>
    x >= 0 && y >= 0 && x < tile.width && y < tile.height && mask[y * tile.width + x] === 1;
  // From the few marked pixels outwards; the offsets are the same in all directions.
  for (let at = mask.indexOf(1); at >= 0; at = mask.indexOf(1, at + 1)) {
    const [x, y] = [at % tile.width, Math.floor(at / tile.width)];
    for (const [dx, dy] of RIM[thickness]!) {
      if (x + dx < 0 || y + dy < 0 || x + dx >= tile.width || y + dy >= tile.height) continue;
      if (!isInside(x + dx, y + dy)) canvas.set(tile.x + x + dx, tile.y + y + dy, color);
    }
  }
}

function drawContours(
  canvas: Canvas,
  tile: Tile,
  labelMap: Volume<Uint8Array>,
  present: readonly (typeof LABELS)[number][],
  size: { slice: number; geometry: DisplayGeometry; width: number; height: number },
): void {
  for (const { id, color } of present) {
    drawContour(canvas, tile, maskSlice({ ...size, volume: labelMap }, id), color, tile.width >= 300 ? 2 : 1);
  }
}

/** Draws a slice in the brain window with its number and sides, and the contours of its labels. */
export function drawSlice(
  canvas: Canvas,
  tile: Tile,
  scan: Volume,
  labelMap: Volume<Uint8Array> | undefined,
  slice: number,
  geometry: DisplayGeometry,
): void {
  const size = { slice, geometry, width: tile.width, height: tile.height };
  const grey = greySlice({ ...size, volume: scan }, BRAIN_WINDOW);
  for (let y = 0; y < tile.height; y++) {
    for (let x = 0; x < tile.width; x++) {
      const value = grey[y * tile.width + x]!;
      canvas.set(tile.x + x, tile.y + y, [value, value, value]);
    }
  }
  const present = labelMap === undefined ? [] : labelsIn(labelMap, slice);
  if (labelMap !== undefined) drawContours(canvas, tile, labelMap, present, size);
  canvas.text(String(slice + 1), tile.x + 6, tile.y + 6, TEXT_SCALE, WHITE);
  // Names beside the colours, for who cannot tell these.
  present.forEach(({ name, color }, line) => {
    const text = SHORT_NAMES[name] ?? name;
    canvas.text(text, tile.x + tile.width - textWidth(text, TEXT_SCALE) - 6, tile.y + 6 + line * 18, TEXT_SCALE, color);
  });
  const bottom = tile.y + tile.height - CHARACTER_HEIGHT * TEXT_SCALE - 6;
  canvas.text('R', tile.x + 6, bottom, TEXT_SCALE, GREY);
  canvas.text('L', tile.x + tile.width - 16, bottom, TEXT_SCALE, GREY);
}

const SHORT_NAMES: Readonly<Record<string, string>> = { Pneumocranium: 'air' };

function labelsIn({ data, rows, columns }: Volume<Uint8Array>, slice: number): readonly (typeof LABELS)[number][] {
  const present = new Set(data.subarray(slice * rows * columns, (slice + 1) * rows * columns));
  return LABELS.filter(({ id }) => present.has(id));
}

interface LegendEntry {
  readonly color: Color;
  readonly lines: readonly string[];
  readonly found: boolean;
}

/** What the legend says of each type. */
export function legendEntries(report: SegmentationReport): LegendEntry[] {
  return report.types.map(({ id, name, title, volumeMl, slices }) => {
    const range = slices.length === 0 ? '' : `, ${slices.length === 1 ? 'slice' : 'slices'} ${sliceRanges(slices)}`;
    const found = slices.length > 0;
    return {
      color: LABELS.find((label) => label.id === id)!.color,
      lines: [
        `${name}  ${volumeMl === null ? 'not assessed' : found ? `${formatMl(volumeMl)} mL` : 'none found'}`,
        ...wrap(`${title}${range}`, LEGEND_WIDTH),
      ],
      found,
    };
  });
}

/** What must not be overlooked, in the order of importance. */
function notices(report: SegmentationReport): string[] {
  return [
    'Research use only, not for diagnosis.',
    ...(report.syntheticWeights ? ['Weights trained on synthetic data.'] : []),
    ...report.problems.map(({ message }) => message),
  ];
}

/** Sizes of the tiles of a sheet: more slices, smaller tiles. */
export function sheetLayout(
  count: number,
  { widthMm, heightMm }: DisplayGeometry,
  tileWidth = count <= 12 ? 400 : count <= 32 ? 320 : 256,
): { columns: number; tileWidth: number; tileHeight: number } {
  const columns = Math.min(count, count <= 4 ? 2 : Math.ceil(Math.sqrt(count * 1.6)));
  const aspect = Math.min(4, Math.max(0.25, heightMm / widthMm));
  return { columns, tileWidth, tileHeight: Math.round(tileWidth * aspect) };
}

/** What a sheet says of its slices: how many there are and are shown, in which window, and on which side the right is. */
export function describeSlices(scan: Volume, shown: readonly number[]): string {
  const some = shown.length < scan.slices ? ` (${shown.length} shown)` : '';
  return `${count(scan.slices, 'slice')}${some}, window ${BRAIN_WINDOW.center}/${BRAIN_WINDOW.width} HU, R = patient's right`;
}

const PAIR_TILE = 480;

/** How the pictures of a result show its scan: cut to the head and to what is marked. Looks at every voxel. */
export function resultGeometry(scan: Volume, labelMap: Volume<Uint8Array>): DisplayGeometry {
  return withoutAir(displayGeometry(scan), scan, labelMap);
}

/** A slice twice: as the scanner made it, and with the contours and names of its labels. */
export function renderPair(
  scan: Volume,
  labelMap: Volume<Uint8Array>,
  slice: number,
  geometry = resultGeometry(scan, labelMap),
): Uint8Array {
  const { tileHeight: height } = sheetLayout(1, geometry, PAIR_TILE);
  const canvas = new Canvas(2 * PAIR_TILE + GAP, height);
  canvas.fillRectangle(0, 0, canvas.width, canvas.height, [45, 45, 45]);
  [undefined, labelMap].forEach((labels, index) => {
    const tile = { x: index * (PAIR_TILE + GAP), y: 0, width: PAIR_TILE, height };
    drawSlice(canvas, tile, scan, labels, slice, geometry);
  });
  return encode({ width: canvas.width, height: canvas.height, data: canvas.data, channels: 3, depth: 8 });
}

/**
 * A PNG picture of a scan with its segmentation: axial slices from inferior to superior in the brain window, anterior
 * up, the patient's right on the left, numbered as they lie in the volume (from 1), with contours and a legend.
 */
export function renderMontage(
  scan: Volume,
  labelMap: Volume<Uint8Array>,
  report: SegmentationReport,
  geometry = resultGeometry(scan, labelMap),
): Uint8Array {
  const slices = chooseSlices(geometry.order, markedPerSlice(labelMap));
  const { columns, tileWidth, tileHeight } = sheetLayout(slices.length, geometry);
  const tileRows = Math.ceil(slices.length / columns);

  const width = Math.max(1000, columns * (tileWidth + GAP) - GAP + 2 * MARGIN);
  const legend = legendEntries(report);
  const entryWidth = Math.max(...legend.flatMap(({ lines }) => lines.map((line) => textWidth(line, TEXT_SCALE)))) + 60;
  const perRow = Math.max(1, Math.floor((width - 2 * MARGIN) / entryWidth));
  const legendRows = Math.ceil(legend.length / perRow);
  const legendHeight = Math.max(...legend.map(({ lines }) => lines.length)) * LINE + 8;
  const messages = notices(report).flatMap((notice) => wrap(notice, width - 2 * MARGIN));
  const header = sheetHeader(report.name, `${report.model.name}, ${describeSlices(scan, slices)}`, width);
  const top = header.height + messages.length * LINE;
  const tilesEnd = top + tileRows * (tileHeight + GAP);
  const legendEnd = tilesEnd + MARGIN + legendRows * legendHeight;
  const canvas = new Canvas(width, legendEnd);

  header.draw(canvas);
  slices.forEach((slice, index) => {
    const x = MARGIN + (index % columns) * (tileWidth + GAP);
    const y = top + Math.floor(index / columns) * (tileHeight + GAP);
    // Lines between the slices, so that one's L and the next one's R are not read together.
    canvas.fillRectangle(x - GAP / 2, y - GAP / 2, tileWidth + GAP, tileHeight + GAP, [45, 45, 45]);
    drawSlice(canvas, { x, y, width: tileWidth, height: tileHeight }, scan, labelMap, slice, geometry);
  });
  legend.forEach(({ color, lines, found }, index) => {
    const x = MARGIN + (index % perRow) * entryWidth;
    const y = tilesEnd + MARGIN + Math.floor(index / perRow) * legendHeight;
    canvas.fillRectangle(x, y, 22, 14, color);
    if (!found) canvas.fillRectangle(x + 2, y + 2, 18, 10, [0, 0, 0]);
    lines.forEach((line, row) => {
      canvas.text(line, x + 32, y + row * LINE, TEXT_SCALE, found && row === 0 ? WHITE : GREY);
    });
  });
  messages.forEach((message, index) => {
    canvas.text(message, MARGIN, header.height + index * LINE, TEXT_SCALE, AMBER);
  });
  return encode({ width: canvas.width, height: canvas.height, data: canvas.data, channels: 3, depth: 8 });
}
