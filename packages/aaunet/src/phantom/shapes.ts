// Signed distances in mm, negative inside: exact enough near the surface, which is where they are used.

/** Distance to an ellipsoid centred at the origin with half axes a, b, c. */
export function ellipsoid(x: number, y: number, z: number, a: number, b: number, c: number): number {
  const u = x / a;
  const v = y / b;
  const w = z / c;
  const k0 = Math.sqrt(u * u + v * v + w * w);
  const p = u / a;
  const q = v / b;
  const r = w / c;
  const k1 = Math.sqrt(p * p + q * q + r * r);
  return k1 < 1e-9 ? -Math.min(a, b, c) : (k0 * (k0 - 1)) / k1;
}

export type Point = readonly [number, number, number];

/** A tapered capsule: the points within a radius that goes from `ra` at `a` to `rb` at `b` along the segment. */
export class Capsule {
  readonly #dx: number;
  readonly #dy: number;
  readonly #dz: number;
  readonly #inverse: number;

  constructor(
    readonly a: Point,
    readonly b: Point,
    readonly ra: number,
    readonly rb: number,
  ) {
    this.#dx = b[0] - a[0];
    this.#dy = b[1] - a[1];
    this.#dz = b[2] - a[2];
    this.#inverse = 1 / (this.#dx * this.#dx + this.#dy * this.#dy + this.#dz * this.#dz);
  }

  distance(x: number, y: number, z: number): number {
    const px = x - this.a[0];
    const py = y - this.a[1];
    const pz = z - this.a[2];
    let t = (px * this.#dx + py * this.#dy + pz * this.#dz) * this.#inverse;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    const qx = px - t * this.#dx;
    const qy = py - t * this.#dy;
    const qz = pz - t * this.#dz;
    return Math.sqrt(qx * qx + qy * qy + qz * qz) - (this.ra + t * (this.rb - this.ra));
  }
}

/** A chain of tapered capsules through points [x, y, z, radius]. */
export function chain(points: readonly (readonly [number, number, number, number])[]): Capsule[] {
  const capsules: Capsule[] = [];
  for (let i = 1; i < points.length; i++) {
    const a = points[i - 1]!;
    const b = points[i]!;
    capsules.push(new Capsule([a[0], a[1], a[2]], [b[0], b[1], b[2]], a[3], b[3]));
  }
  return capsules;
}

/** Minimum (union) whose crease is rounded over about `k` mm. */
export function smoothMin(a: number, b: number, k: number): number {
  const h = k - Math.abs(a - b);
  return h <= 0 ? Math.min(a, b) : Math.min(a, b) - (h * h) / (4 * k);
}

/** Maximum (intersection) whose crease is rounded over about `k` mm. */
export function smoothMax(a: number, b: number, k: number): number {
  return -smoothMin(-a, -b, k);
}

/** Share of a small neighbourhood of half width `w` that lies inside a surface at signed distance `d`: 0..1. */
export function inside(d: number, w: number): number {
  const t = 0.5 - d / (2 * w);
  return t <= 0 ? 0 : t >= 1 ? 1 : t * t * (3 - 2 * t);
}

export function clamp(value: number, low: number, high: number): number {
  return value < low ? low : value > high ? high : value;
}

/** exp(-t²/2) of the scaled distance to a point: 1 there, 0 far away. */
export function bump(dx: number, dy: number, dz: number): number {
  const q = dx * dx + dy * dy + dz * dz;
  return q > 16 ? 0 : Math.exp(-0.5 * q);
}
