import { forEachDot } from './bitmap-font.js';

export type Color = readonly [red: number, green: number, blue: number];

/** A picture of 8-bit RGB pixels, row-major from the top left; drawing outside of it is cut off. */
export class Canvas {
  readonly data: Uint8Array;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.data = new Uint8Array(width * height * 3);
  }

  set(x: number, y: number, color: Color): void {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return;
    this.data.set(color, (y * this.width + x) * 3);
  }

  fillRectangle(x: number, y: number, width: number, height: number, color: Color): void {
    for (let row = y; row < y + height; row++)
      for (let column = x; column < x + width; column++) this.set(column, row, color);
  }

  /** Text with its top left corner at (x, y), dots of `scale` pixels, on a dark rim that keeps it readable on bone. */
  text(text: string, x: number, y: number, scale: number, color: Color): void {
    forEachDot(text, (dotX, dotY) => {
      this.fillRectangle(x + dotX * scale - 1, y + dotY * scale - 1, scale + 2, scale + 2, [0, 0, 0]);
    });
    forEachDot(text, (dotX, dotY) => {
      this.fillRectangle(x + dotX * scale, y + dotY * scale, scale, scale, color);
    });
  }
}
