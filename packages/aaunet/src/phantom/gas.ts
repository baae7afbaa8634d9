import { clamp } from './shapes.js';
import type { Bubble } from './lesions/pneumocranium.js';

/** Pixels of gas that a slice with Pneumocranium shows at 512x512 (the paper's figures). */
export const GAS_PIXELS = { low: 15, high: 86, at: 512 } as const;

/** Share of gas in a pixel from which its darkening is visible. */
const VISIBLE = 0.12;

export interface Picture {
  readonly side: number;
  readonly pixel: number;
  readonly left: number;
  readonly top: number;
}

/** The figure's range for another picture size, by pixel area; at least one pixel. */
export function gasRange(side: number): { low: number; high: number } {
  const scale = (side / GAS_PIXELS.at) ** 2;
  return {
    low: Math.max(1, Math.ceil(GAS_PIXELS.low * scale)),
    high: Math.max(2, Math.floor(GAS_PIXELS.high * scale)),
  };
}

/**
 * Gas in one slice: share of gas by pixel index. Bubbles that only graze the slice are dropped and big ones shrunk, so
 * that the visible pixels stay within `gasRange`.
 */
export function gasInSlice(
  bubbles: readonly Bubble[],
  picture: Picture,
  w: number,
  thickness: number,
): Map<number, number> {
  const near = bubbles.filter((b) => Math.abs(b.w - w) < thickness / 2 + b.rw);
  const { low, high } = gasRange(picture.side);
  let scale = 1;
  for (let attempt = 0; attempt < 12 && near.length > 0; attempt++) {
    const shares = fill(near, picture, w, thickness, scale);
    let visible = 0;
    for (const share of shares.values()) if (share >= VISIBLE) visible++;
    if (visible >= low && visible <= high) return shares;
    if (visible < low) {
      // Grazed only, unless the picture is so coarse that a pixel is larger than a bubble.
      if (visible === 0 && low > 1) break;
      if (visible * 4 < low || scale > 1.5) break;
      scale *= 1.12;
    } else {
      scale *= clamp(Math.sqrt((0.92 * high) / visible), 0.6, 0.95);
    }
  }
  return new Map();
}

export function visibleGas(share: number): boolean {
  return share >= VISIBLE;
}

function fill(
  bubbles: readonly Bubble[],
  picture: Picture,
  w: number,
  thickness: number,
  scale: number,
): Map<number, number> {
  const shares = new Map<number, number>();
  const { side, pixel, left, top } = picture;
  const across = Math.max(3, Math.ceil(pixel / 0.25));
  const through = 7;
  const weight = 1 / (across * across * through);
  for (const b of bubbles) {
    const ru = b.ru * scale;
    const rv = b.rv * scale;
    const c0 = Math.max(0, Math.floor((b.u - ru - left) / pixel));
    const c1 = Math.min(side - 1, Math.ceil((b.u + ru - left) / pixel));
    const r0 = Math.max(0, Math.floor((b.v - rv - top) / pixel));
    const r1 = Math.min(side - 1, Math.ceil((b.v + rv - top) / pixel));
    for (let row = r0; row <= r1; row++) {
      for (let column = c0; column <= c1; column++) {
        let hits = 0;
        for (let k = 0; k < through; k++) {
          const dw = (w + ((k + 0.5) / through - 0.5) * thickness - b.w) / b.rw;
          const rest = 1 - dw * dw;
          if (rest <= 0) continue;
          for (let j = 0; j < across; j++) {
            const dv = (top + (row + (j + 0.5) / across - 0.5) * pixel - b.v) / rv;
            for (let i = 0; i < across; i++) {
              const du = (left + (column + (i + 0.5) / across - 0.5) * pixel - b.u) / ru;
              if (du * du + dv * dv < rest) hits++;
            }
          }
        }
        if (hits > 0) {
          const p = row * side + column;
          shares.set(p, Math.min(1, (shares.get(p) ?? 0) + hits * weight));
        }
      }
    }
  }
  return shares;
}
