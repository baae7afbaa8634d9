import { Brain } from './brain.js';
import type { Lesion } from './lesions/lesion.js';
import { ValueNoise } from './noise-field.js';
import { Random } from './random.js';
import { clamp } from './shapes.js';
import type { Person, Site } from './site.js';
import { Skull } from './skull.js';

/** A mass: moves brain within `radius` mm of (x, y, z) by up to (dx, dy, dz) mm. */
export interface Push {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly dx: number;
  readonly dy: number;
  readonly dz: number;
  readonly radius: number;
}

export interface Pose {
  /** Degrees: chin down, head to the shoulder, face to the side. */
  readonly pitch: number;
  readonly roll: number;
  readonly yaw: number;
  /** Scanner coordinates (LPS, mm) of the atlas origin. */
  readonly shift: readonly [number, number, number];
}

/** One person's head without lesions: anatomy at any point of the scanner's space. */
export class Head {
  readonly person: Person;
  readonly pose: Pose;
  readonly skull: Skull;
  readonly brain: Brain;
  readonly noise: ValueNoise;
  readonly #scale: readonly [number, number, number];
  readonly #skew: number;
  readonly #warp: ValueNoise;
  readonly #bend: number;
  readonly #rotation: Float64Array;
  #pushes: readonly Push[] = [];
  #collections: readonly Lesion[] = [];

  constructor(seed: number, person: Person) {
    this.person = person;
    const build = Random.of(seed, 'build');
    this.noise = new ValueNoise(Random.of(seed, 'noise'));
    this.#warp = new ValueNoise(Random.of(seed, 'warp'));
    this.#bend = build.range(0.8, 1.8);
    const whole = build.range(0.955, 1.035);
    this.#scale = [whole * build.range(0.97, 1.03), whole * build.range(0.97, 1.03), whole * build.range(0.97, 1.03)];
    this.#skew = build.range(-0.035, 0.035);
    this.skull = new Skull(Random.of(seed, 'skull'), this.noise);
    this.brain = new Brain(Random.of(seed, 'brain'), this.noise, person);
    const pose = Random.of(seed, 'pose');
    this.pose = {
      pitch: clamp(pose.normal() * 6 + 3, -10, 15),
      roll: clamp(pose.normal() * 2.5, -6, 6),
      yaw: clamp(pose.normal() * 3.5, -9, 9),
      shift: [pose.range(-5, 5), pose.range(-4, 4), 0],
    };
    this.#rotation = rotation(this.pose);
  }

  set collections(collections: readonly Lesion[]) {
    this.#collections = collections;
  }

  /** How much of the way from the skull to a site a collection takes, mm. */
  #covered(site: Site): number {
    const { x, y, z } = site;
    let most = 0;
    if (site.inner < -45) return 0;
    for (const lesion of this.#collections) {
      const { low, high } = lesion;
      if (x < low[0] || x > high[0] || y < low[1] || y > high[1] || z < low[2] || z > high[2]) continue;
      const side = lesion.plan.side * site.x;
      const share =
        clamp((side - 2) / 8, 0, 1) * clamp((this.brain.overTentorium(x, y, z) + (y < 6 ? 60 : 0)) / 5, 0, 1);
      const thickness = share * (lesion.thickness?.(site) ?? 0);
      // Counted from the vault, as the collection is, so that none lies on the floor of the anterior fossa.
      if (thickness > 0) most = Math.max(most, thickness + this.skull.vault(x, y, z) - site.inner);
    }
    return most;
  }

  set pushes(pushes: readonly Push[]) {
    this.#pushes = pushes;
  }

  /** Scanner coordinates (LPS, mm) of a point of the atlas, but for the small organic warp. */
  toScanner(x: number, y: number, z: number): [number, number, number] {
    const m = this.#rotation;
    const py = y * this.#scale[1];
    const px = (x - this.#skew * y) * this.#scale[0];
    const pz = z * this.#scale[2];
    const [su, sv, sw] = this.pose.shift;
    return [
      m[0]! * px + m[3]! * py + m[6]! * pz + su,
      m[1]! * px + m[4]! * py + m[7]! * pz + sv,
      m[2]! * px + m[5]! * py + m[8]! * pz + sw,
    ];
  }

  /** Fills the site for scanner coordinates (u left, v posterior, w superior, mm). */
  locate(u: number, v: number, w: number, site: Site): void {
    const m = this.#rotation;
    const shift = this.pose.shift;
    const du = u - shift[0];
    const dv = v - shift[1];
    const dw = w - shift[2];
    const py = (m[3]! * du + m[4]! * dv + m[5]! * dw) / this.#scale[1];
    const px = (m[0]! * du + m[1]! * dv + m[2]! * dw) / this.#scale[0] + this.#skew * py;
    const pz = (m[6]! * du + m[7]! * dv + m[8]! * dw) / this.#scale[2];
    const warp = this.#warp;
    site.x = px + this.#bend * warp.at(px, py, pz, 47);
    site.y = py + this.#bend * warp.at(py + 200, pz, px, 47);
    site.z = pz + 0.7 * this.#bend * warp.at(pz + 400, px, py, 47);
    site.down = v;
    site.inner = this.skull.cavity(site.x, site.y, site.z);
  }

  /** Anatomy at a located site. */
  measure(site: Site): void {
    if (site.inner > -4.5) this.skull.measure(site);
    else {
      site.outer = -30;
      site.bone = -site.inner;
      site.air = 50;
      site.boneHu = 1400;
    }
    if (site.inner > 2.5) {
      site.parenchyma = 50;
      site.ventricle = 50;
      site.overTentorium = 0;
      return;
    }
    let x = site.x;
    let y = site.y;
    let z = site.z;
    for (const p of this.#pushes) {
      const dx = site.x - p.x;
      const dy = site.y - p.y;
      const dz = site.z - p.z;
      const q = (dx * dx + dy * dy + dz * dz) / (p.radius * p.radius);
      if (q > 9) continue;
      const g = Math.exp(-0.5 * q);
      x -= g * p.dx;
      y -= g * p.dy;
      z -= g * p.dz;
    }
    site.brainX = x;
    site.brainY = y;
    site.brainZ = z;
    // A push moves what lies in the brain; its surface stays at the skull, where the mass itself covers it.
    this.brain.measure(site, this.#covered(site));
  }
}

/** Columns: where the atlas's x, y and z axes point in the scanner. */
function rotation(pose: Pose): Float64Array {
  const rad = Math.PI / 180;
  const [ca, sa] = [Math.cos(pose.pitch * rad), Math.sin(pose.pitch * rad)];
  const [cb, sb] = [Math.cos(pose.roll * rad), Math.sin(pose.roll * rad)];
  const [cc, sc] = [Math.cos(pose.yaw * rad), Math.sin(pose.yaw * rad)];
  // Rz(yaw) Ry(roll) Rx(pitch), stored column by column.
  return Float64Array.of(
    cc * cb,
    sc * cb,
    -sb,
    cc * sb * sa - sc * ca,
    sc * sb * sa + cc * ca,
    cb * sa,
    cc * sb * ca + sc * sa,
    sc * sb * ca - cc * sa,
    cb * ca,
  );
}
