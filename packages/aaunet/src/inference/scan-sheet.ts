import { toCanonical, type Volume } from '@aaunet/imaging';
import { encode } from 'fast-png';

import { CHARACTER_HEIGHT } from './bitmap-font.js';
import { Canvas, type Color } from './canvas.js';
import { displayGeometry, withoutAir } from './display-slice.js';
import { BRAIN_WINDOW, chooseSlices, drawSlice, sheetLayout, wrap } from './montage.js';

const GAP = 6;
const MARGIN = 16;
const LINE = 24;
const TITLE_SCALE = 3;
const TEXT_SCALE = 2;
const WHITE: Color = [255, 255, 255];
const GREY: Color = [150, 150, 150];
const AMBER: Color = [255, 190, 60];

export interface ScanSheetText {
  readonly title: string;
  /** What should not be overlooked, below the slices. */
  readonly notices: readonly string[];
}

/**
 * A PNG contact sheet of a scan: axial slices from inferior to superior in the brain window, anterior up, the patient's
 * right on the left, numbered from 1.
 */
export function renderScanSheet(volume: Volume<Int16Array>, { title, notices }: ScanSheetText): Uint8Array {
  // Slices of another plane are turned to axial ones; uneven slices are axial already.
  const scan = volume.positions === undefined ? toCanonical(volume).volume : volume;
  const geometry = withoutAir(displayGeometry(scan), scan);
  const slices = chooseSlices(geometry.order, []);
  const { columns, tileWidth, tileHeight } = sheetLayout(slices.length, geometry);
  const rows = Math.ceil(slices.length / columns);
  const width = Math.max(1000, columns * (tileWidth + GAP) - GAP + 2 * MARGIN);
  const lines = notices.flatMap((notice) => wrap(notice, width - 2 * MARGIN));
  const top = 2 * MARGIN + CHARACTER_HEIGHT * TITLE_SCALE + LINE;
  const end = top + rows * (tileHeight + GAP);
  const canvas = new Canvas(width, end + MARGIN + lines.length * LINE);
  canvas.text(title, MARGIN, MARGIN, TITLE_SCALE, WHITE);
  const shown = slices.length < scan.slices ? ` (${slices.length} shown)` : '';
  canvas.text(
    `${scan.slices} slices${shown}, window ${BRAIN_WINDOW.center}/${BRAIN_WINDOW.width} HU, R = patient's right`,
    MARGIN,
    MARGIN + CHARACTER_HEIGHT * TITLE_SCALE + 12,
    TEXT_SCALE,
    GREY,
  );
  slices.forEach((slice, index) => {
    const x = MARGIN + (index % columns) * (tileWidth + GAP);
    const y = top + Math.floor(index / columns) * (tileHeight + GAP);
    drawSlice(canvas, { x, y, width: tileWidth, height: tileHeight }, scan, undefined, slice, geometry);
  });
  lines.forEach((line, index) => {
    canvas.text(line, MARGIN, end + MARGIN / 2 + index * LINE, TEXT_SCALE, AMBER);
  });
  return encode({ width: canvas.width, height: canvas.height, data: canvas.data, channels: 3, depth: 8 });
}
