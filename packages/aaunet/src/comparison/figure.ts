import { LABELS, type HuWindow } from '@aaunet/imaging';
import { encode } from 'fast-png';

import { textWidth } from '../inference/bitmap-font.js';
import { Canvas, type Color } from '../inference/canvas.js';

/** A slice of the figure: HU and labels of size x size pixels, anterior up, the patient's right on the left. */
export interface FigureSlice {
  /** What the row shows, such as the type that it was chosen for. */
  readonly title: string;
  readonly hu: Int16Array;
  readonly truth: Uint8Array;
}

/** A column: a network and its labels of every slice. */
export interface FigureColumn {
  readonly title: string;
  readonly labels: readonly Uint8Array[];
}

const BRAIN_WINDOW: HuWindow = { center: 40, width: 80 };
const TILE = 160;
const GAP = 4;
const MARGIN = 12;
const HEADER = 40;
const ROW_TITLE = 170;
const LEGEND = 36;
const BACKGROUND: Color = [20, 20, 20];
const INK: Color = [235, 235, 235];
/** Part of a label's colour over the image. */
const OPACITY = 0.6;

/**
 * A PNG like the paper's Fig. 6: the same slices, a row each, as the scan, as the truth and as every network outlines them.
 *
 * @param size pixels a side of the slices.
 */
export function renderFigure(
  slices: readonly FigureSlice[],
  columns: readonly FigureColumn[],
  size: number,
): Uint8Array {
  const all: FigureColumn[] = [
    { title: 'scan', labels: slices.map(() => new Uint8Array(size * size)) },
    { title: 'truth', labels: slices.map(({ truth }) => truth) },
    ...columns,
  ];
  const width = 2 * MARGIN + ROW_TITLE + all.length * (TILE + GAP);
  const height = 2 * MARGIN + HEADER + slices.length * (TILE + GAP) + LEGEND;
  const canvas = new Canvas(width, height);
  canvas.fillRectangle(0, 0, width, height, BACKGROUND);
  all.forEach(({ title, labels }, column) => {
    const x = MARGIN + ROW_TITLE + column * (TILE + GAP);
    wrapTitle(title).forEach((line, i) => {
      canvas.text(line, x + Math.max(0, (TILE - textWidth(line, 2)) / 2), MARGIN + i * 18, 2, INK);
    });
    slices.forEach(({ hu }, row) => {
      drawTile(canvas, x, MARGIN + HEADER + row * (TILE + GAP), { hu, labels: labels[row]!, size });
    });
  });
  slices.forEach(({ title }, row) => {
    canvas.text(title, MARGIN, MARGIN + HEADER + row * (TILE + GAP) + TILE / 2 - 7, 2, INK);
  });
  drawLegend(canvas, MARGIN + ROW_TITLE, height - LEGEND);
  return encode({ width, height, data: canvas.data, channels: 3, depth: 8 });
}

/** At most two lines, broken at a hyphen. */
function wrapTitle(title: string): string[] {
  if (textWidth(title, 2) <= TILE) return [title];
  const at = title.lastIndexOf('-', Math.floor(TILE / 12));
  return at > 0 ? [title.slice(0, at + 1), title.slice(at + 1)] : [title];
}

interface Tile {
  readonly hu: Int16Array;
  readonly labels: Uint8Array;
  readonly size: number;
}

function drawTile(canvas: Canvas, left: number, top: number, { hu, labels, size }: Tile): void {
  const low = BRAIN_WINDOW.center - BRAIN_WINDOW.width / 2;
  const start = Array.from({ length: TILE + 1 }, (_, i) => Math.floor((i * size) / TILE));
  for (let y = 0; y < TILE; y++)
    for (let x = 0; x < TILE; x++) {
      // All pixels that fall into this one: where the picture is smaller than the slice, nothing tiny may be skipped.
      let grey = 0;
      let count = 0;
      let label = 0;
      for (let row = start[y]!; row < Math.max(start[y]! + 1, start[y + 1]!); row++)
        for (let column = start[x]!; column < Math.max(start[x]! + 1, start[x + 1]!); column++) {
          const source = row * size + column;
          grey += 255 * Math.min(1, Math.max(0, (hu[source]! - low) / BRAIN_WINDOW.width));
          count += 1;
          label = Math.max(label, labels[source]!);
        }
      grey = Math.round(grey / count);
      const color: readonly number[] = LABELS[label - 1]?.color ?? [];
      const mix = (channel: number): number =>
        label === 0 ? grey : Math.round(grey * (1 - OPACITY) + color[channel]! * OPACITY);
      canvas.set(left + x, top + y, [mix(0), mix(1), mix(2)]);
    }
}

function drawLegend(canvas: Canvas, left: number, top: number): void {
  let x = left;
  for (const { name, color } of LABELS) {
    canvas.fillRectangle(x, top, 14, 14, color);
    canvas.text(name, x + 20, top, 2, INK);
    x += 20 + textWidth(name, 2) + 24;
  }
}
