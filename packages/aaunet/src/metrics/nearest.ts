/** Points of a leaf: below this a straight search is faster than another level of the tree. */
const LEAF = 12;

/**
 * A k-d tree over points in space for nearest-neighbour distances; exact for any places, so that uneven and leaning slices
 * need no resampling. Bentley, Multidimensional binary search trees, 1975.
 */
export class NearestPoints {
  private readonly points: Float64Array;
  private best = 0;

  /** @param points x, y, z of each point, mm; copied. */
  constructor(points: Float64Array) {
    this.points = points.slice();
    this.split(0, this.points.length / 3, 0);
  }

  /** Squared distance from a place to the nearest point; Infinity where there are no points. */
  squaredDistance(x: number, y: number, z: number): number {
    this.best = Infinity;
    this.search(0, this.points.length / 3, 0, [x, y, z]);
    return this.best;
  }

  /** Sorts a range so that its middle point splits it along `axis`, then its halves along the next axes. */
  private split(from: number, to: number, axis: number): void {
    if (to - from <= LEAF) return;
    const middle = (from + to) >> 1;
    this.select(from, to - 1, middle, axis);
    this.split(from, middle, (axis + 1) % 3);
    this.split(middle + 1, to, (axis + 1) % 3);
  }

  /** Quickselect: the point at `wanted` gets all smaller ones along `axis` before it and all larger ones behind it. */
  private select(from: number, to: number, wanted: number, axis: number): void {
    const { points } = this;
    let [low, high] = [from, to];
    while (low < high) {
      const pivot = points[3 * ((low + high) >> 1) + axis]!;
      let [left, right] = [low, high];
      while (left <= right) {
        while (points[3 * left + axis]! < pivot) left++;
        while (points[3 * right + axis]! > pivot) right--;
        if (left <= right) this.swap(left++, right--);
      }
      if (wanted <= right) high = right;
      else if (wanted >= left) low = left;
      else return;
    }
  }

  private swap(a: number, b: number): void {
    for (let axis = 0; axis < 3; axis++) {
      const value = this.points[3 * a + axis]!;
      this.points[3 * a + axis] = this.points[3 * b + axis]!;
      this.points[3 * b + axis] = value;
    }
  }

  private visit(index: number, place: readonly [number, number, number]): void {
    const dx = this.points[3 * index]! - place[0];
    const dy = this.points[3 * index + 1]! - place[1];
    const dz = this.points[3 * index + 2]! - place[2];
    this.best = Math.min(this.best, dx * dx + dy * dy + dz * dz);
  }

  private search(from: number, to: number, axis: 0 | 1 | 2, place: readonly [number, number, number]): void {
    if (to - from <= LEAF) {
      for (let index = from; index < to; index++) this.visit(index, place);
      return;
    }
    const middle = (from + to) >> 1;
    const beyond = place[axis] - this.points[3 * middle + axis]!;
    const next = ((axis + 1) % 3) as 0 | 1 | 2;
    this.visit(middle, place);
    if (beyond < 0) this.search(from, middle, next, place);
    else this.search(middle + 1, to, next, place);
    if (beyond * beyond >= this.best) return;
    if (beyond < 0) this.search(middle + 1, to, next, place);
    else this.search(from, middle, next, place);
  }
}
