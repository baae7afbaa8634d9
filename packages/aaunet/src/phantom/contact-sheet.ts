import type { Volume } from '@aaunet/imaging';
import { LABELS } from '@aaunet/imaging';
import { encode } from 'fast-png';

export interface SheetPicture {
  readonly image: Volume<Int16Array>;
  readonly labels?: Volume<Uint8Array>;
  readonly slice: number;
}

export interface SheetOptions {
  readonly columns?: number;
  /** Side of a tile in pixels. */
  readonly tile?: number;
  /** Display window in HU. */
  readonly centre?: number;
  readonly width?: number;
  /** Each slice twice: plain and with its labels in colour. */
  readonly overlay?: boolean;
}

/** A PNG with slices side by side in the brain window, plain and (with `overlay`) again with the labels in colour. */
export function contactSheet(pictures: readonly SheetPicture[], options: SheetOptions = {}): Uint8Array {
  const { columns = 8, tile = 192, centre = 40, width = 90, overlay = true } = options;
  const tiles = pictures.flatMap((p) =>
    overlay
      ? [
          { p, colour: false },
          { p, colour: true },
        ]
      : [{ p, colour: false }],
  );
  const across = Math.min(columns, Math.max(1, tiles.length));
  const down = Math.ceil(tiles.length / across);
  const sheetWidth = across * tile;
  const data = new Uint8Array(sheetWidth * Math.max(1, down) * tile * 3);
  tiles.forEach(({ p, colour }, n) => {
    const left = (n % across) * tile;
    const top = Math.floor(n / across) * tile;
    drawTile(p, colour, { data, sheetWidth, left, top, tile, centre, width });
  });
  return encode({ width: sheetWidth, height: Math.max(1, down) * tile, data, channels: 3, depth: 8 });
}

interface Target {
  readonly data: Uint8Array;
  readonly sheetWidth: number;
  readonly left: number;
  readonly top: number;
  readonly tile: number;
  readonly centre: number;
  readonly width: number;
}

function drawTile(picture: SheetPicture, colour: boolean, target: Target): void {
  const { image, labels, slice } = picture;
  const { rows, columns } = image;
  const { tile, centre, width } = target;
  const offset = slice * rows * columns;
  for (let y = 0; y < tile; y++) {
    const r0 = Math.floor((y * rows) / tile);
    const r1 = Math.max(r0 + 1, Math.floor(((y + 1) * rows) / tile));
    for (let x = 0; x < tile; x++) {
      const c0 = Math.floor((x * columns) / tile);
      const c1 = Math.max(c0 + 1, Math.floor(((x + 1) * columns) / tile));
      let sum = 0;
      let label = 0;
      for (let r = r0; r < r1; r++) {
        for (let c = c0; c < c1; c++) {
          sum += image.data[offset + r * columns + c]!;
          label = Math.max(label, colour ? (labels?.data[offset + r * columns + c] ?? 0) : 0);
        }
      }
      const hu = sum / ((r1 - r0) * (c1 - c0));
      const grey = Math.max(0, Math.min(255, ((hu - centre) / width + 0.5) * 255));
      const at = ((target.top + y) * target.sheetWidth + target.left + x) * 3;
      const tint = LABELS[label - 1]?.color;
      for (let i = 0; i < 3; i++) target.data[at + i] = tint === undefined ? grey : 0.45 * grey + 0.55 * tint[i]!;
    }
  }
}
