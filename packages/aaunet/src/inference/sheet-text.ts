import { CHARACTER_HEIGHT, textWidth } from './bitmap-font.js';
import type { Canvas, Color } from './canvas.js';

export const MARGIN = 16;
export const TEXT_SCALE = 2;
/** Pixels from one line of text to the next. */
export const LINE = 24;
export const WHITE: Color = [255, 255, 255];
export const GREY: Color = [150, 150, 150];
export const AMBER: Color = [255, 190, 60];

const TITLE_SCALE = 3;
const TITLE_LINE = CHARACTER_HEIGHT * TITLE_SCALE + 8;

/** Breaks text into lines of at most `width` pixels: at spaces, and within words that are longer than a line. */
export function wrap(text: string, width: number, scale = TEXT_SCALE): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && textWidth(longer, scale) > width) {
      lines.push(line);
      line = word;
    } else {
      line = longer;
    }
    while (textWidth(line, scale) > width && line.length > 1) {
      let end = line.length - 1;
      while (end > 1 && textWidth(line.slice(0, end), scale) > width) end--;
      lines.push(line.slice(0, end));
      line = line.slice(end);
    }
  }
  return [...lines, line];
}

/** Title and description at the top of a sheet, as many lines as they need. */
export function sheetHeader(
  title: string,
  description: string,
  width: number,
): { readonly height: number; readonly draw: (canvas: Canvas) => void } {
  const titles = wrap(title, width - 2 * MARGIN, TITLE_SCALE);
  const lines = wrap(description, width - 2 * MARGIN);
  const below = MARGIN + titles.length * TITLE_LINE + 4;
  return {
    height: below + lines.length * LINE + 4,
    draw: (canvas) => {
      titles.forEach((text, index) => {
        canvas.text(text, MARGIN, MARGIN + index * TITLE_LINE, TITLE_SCALE, WHITE);
      });
      lines.forEach((text, index) => {
        canvas.text(text, MARGIN, below + index * LINE, TEXT_SCALE, GREY);
      });
    },
  };
}
