import { toCanonical, type Volume } from '@aaunet/imaging';
import { encode } from 'fast-png';

import { Canvas } from './canvas.js';
import { displayGeometry, withoutAir } from './display-slice.js';
import { chooseSlices, describeSlices, drawSlice, sheetLayout } from './montage.js';
import { AMBER, LINE, MARGIN, sheetHeader, TEXT_SCALE, wrap } from './sheet-text.js';

const GAP = 6;

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
  const header = sheetHeader(title, describeSlices(scan, slices), width);
  const top = header.height;
  const end = top + rows * (tileHeight + GAP);
  const canvas = new Canvas(width, end + MARGIN + lines.length * LINE);
  header.draw(canvas);
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
