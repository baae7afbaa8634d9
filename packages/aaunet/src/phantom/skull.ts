import type { ValueNoise } from './noise-field.js';
import type { Random } from './random.js';
import { bump, Capsule, chain, clamp, ellipsoid, inside, smoothMax, smoothMin } from './shapes.js';
import type { Site } from './site.js';

const FAT = -85;
const MUSCLE = 52;
const SKIN = 30;

/** The head around the brain: cranial cavity, skull with its base, sinuses, orbits, face, scalp and neck. */
export class Skull {
  readonly #noise: ValueNoise;
  readonly #width: number;
  readonly #length: number;
  readonly #height: number;
  readonly #egg: number;
  readonly #thickness: number;
  readonly #scalp: number;
  readonly #fat: number;
  readonly #sinus: { width: number; height: number; air: boolean };
  readonly #mastoid: number;
  readonly #jaw: number;
  readonly #petrous = new Capsule([15, -3, -25], [60, 17, -29], 5, 12);
  readonly #wing = new Capsule([14, -29, -9], [58, -36, -4], 2.6, 4);
  readonly #clivus = new Capsule([0, -6, -16], [0, 12, -54], 5, 4);
  readonly #canal = new Capsule([0, 17, -52], [0, 26, -170], 15, 10);
  readonly #vertebra = new Capsule([0, 0, -68], [0, 10, -180], 8, 9);
  readonly #orbit = new Capsule([31, -72, -25], [14, -38, -20], 17, 4);
  readonly #nerve = new Capsule([31, -66, -25], [13, -34, -18], 2.1, 1.9);
  readonly #muscles = [
    new Capsule([41, -70, -25], [16, -38, -20], 2.2, 1.5),
    new Capsule([20, -68, -25], [12, -38, -20], 2.2, 1.5),
  ];
  readonly #zygoma = chain([
    [68, -22, -42, 3],
    [63, -48, -44, 3],
    [50, -74, -44, 5],
  ]);
  readonly #mandible: Capsule[];
  readonly #earCanal = new Capsule([48, 12, -32], [92, 12, -32], 2.6, 3.4);
  readonly #neck = new Capsule([0, 24, -50], [0, 30, -190], 58, 54);
  readonly #ear: readonly [number, number];

  constructor(random: Random, noise: ValueNoise) {
    this.#noise = noise;
    this.#width = random.range(64.5, 69.5);
    this.#length = random.range(83, 89);
    this.#height = random.range(72, 78);
    this.#egg = random.range(0.03, 0.11);
    this.#thickness = random.range(4, 6.2);
    this.#scalp = random.range(4.2, 7.5);
    this.#fat = random.range(0.35, 0.7);
    this.#sinus = { width: random.range(12, 30), height: random.range(8, 20), air: random.chance(0.85) };
    this.#mastoid = random.range(8, 14);
    this.#jaw = random.range(-6, 6);
    this.#ear = [random.range(-6, 4), random.range(-3, 5)];
    const j = this.#jaw;
    this.#mandible = chain([
      [50, -14, -58, 4],
      [47, -24, -98 + j, 5],
      [26, -70, -112 + j, 6],
      [0, -84, -114 + j, 7],
    ]);
  }

  /** Signed distance to the smooth vault alone, the scale of everything outside it. */
  vault(x: number, y: number, z: number): number {
    const width = this.#width * (1 + (this.#egg * y) / this.#length + 0.11 * (y / this.#length) ** 2);
    if (z <= 0) return ellipsoid(x, y - 2, z, width, this.#length, 47);
    // Blunter at the crown than an ellipsoid.
    const t = Math.min(1.2, z / this.#height);
    return ellipsoid(x, y - 2, z * (0.82 + 0.18 * t * t), width, this.#length, this.#height);
  }

  /** Signed distance to the inner table: negative inside the cranial cavity. Points in the atlas frame, mm. */
  cavity(x: number, y: number, z: number): number {
    const ax = Math.abs(x);
    let d = this.vault(x, y, z);
    if (z > 32) return d;
    // The posterior fossa bulges below the vault, the canal leaves through the foramen magnum.
    d = smoothMin(d, ellipsoid(x, y - 40, z + 28, 53, 43, 34), 6);
    if (z < -40) d = smoothMin(d, this.#canal.distance(x, y, z), 6);
    // Floor of the anterior fossa: orbital roofs high, cribriform plate low; it ends at the sphenoid ridge.
    if (y < -20) {
      const floor = -11 + 8 * bump((ax - 30) / 13, (y + 62) / 22, 0) + 0.05 * (-y - 35);
      const ridge = y + 33 + 0.08 * (58 - ax);
      d = smoothMax(d, -smoothMax(z - floor, ridge, 4), 5);
    }
    if (z < 14 && y < 45) {
      // Sphenoid body with the pituitary fossa, clivus, petrous bones, lesser wings.
      let solid = smoothMin(ellipsoid(x, y + 20, z + 30, 14, 17, 19), this.#clivus.distance(x, y, z) - 1, 5);
      solid = smoothMin(solid, this.#petrous.distance(ax, y, z), 5);
      solid = smoothMin(solid, this.#wing.distance(ax, y, z), 4);
      solid = smoothMax(solid, -ellipsoid(x, y + 18, z + 10, 6, 5, 4), 2);
      d = smoothMax(d, -solid, 2.5);
    }
    return d;
  }

  /** Fills `outer`, `bone`, `boneHu`, `air` and, outside the cavity, `soft`. Needs `inner`. */
  measure(site: Site): void {
    const { x, y, z, inner } = site;
    const ax = Math.abs(x);
    const noise = this.#noise;
    const vault = this.vault(x, y, z);
    const temporal = bump((ax - 66) / 14, (y + 26) / 22, (z - 2) / 24);
    const occiput = bump(x / 26, (y - 86) / 18, (z + 2) / 20);
    const frontal = bump(x / 30, (y + 84) / 20, (z - 10) / 25);
    let thickness =
      this.#thickness * (1 + 0.16 * noise.at(x, y, z, 26)) - 1.8 * temporal + 2.4 * occiput + 1.4 * frontal;
    const sinus = this.#sinus;
    const sinusRoom = bump(x / sinus.width, (y + 86) / 14, (z - 2) / sinus.height);
    thickness = Math.max(2.4, thickness + (sinus.air ? 6 : 1) * sinusRoom * clamp((-y - 70) / 8, 0, 1));
    const base = clamp((-z - 2) / 14, 0, 1) * clamp((70 - Math.abs(y)) / 20, 0, 1);
    thickness += base * (3.4 - thickness);
    // Orbital roofs are thin.
    const roof = clamp((6 - z) / 8, 0, 1) * clamp((-y - 24) / 8, 0, 1) * clamp((y + 82) / 8, 0, 1);
    thickness += roof * (2 - thickness);
    const scalp = this.#scalp + 8 * temporal + 2 * occiput + 0.5 * noise.at(x, y, z, 31);

    // Skin: vault, face, nose, ears, neck.
    let outer = vault - thickness - scalp;
    if (z < 20) {
      outer = smoothMin(outer, ellipsoid(x, y + 38, z + 62, 66, 58, 62), 10);
      if (z < -30) outer = smoothMin(outer, this.#neck.distance(x, y, z), 22);
      if (y < -80) outer = smoothMin(outer, ellipsoid(x, y + 95, z + 50, 10, 15, 17), 7);
      if (ax > 60 && y > -10) {
        const ear = ellipsoid(ax - 70 - 0.25 * (y - 12), y - 18 - this.#ear[0], z + 30 - this.#ear[1], 3, 15, 24);
        outer = Math.min(outer, ear);
      }
    }
    site.outer = outer;
    if (outer > 3) {
      site.bone = 50;
      site.air = 50;
      site.soft = 0;
      return;
    }

    // Skull: a shell round the cavity, solid parts of the base, face and spine.
    let bone = Math.max(-inner, inner - thickness);
    let cancellous = inside(Math.abs(inner - thickness / 2) - Math.max(0, thickness / 2 - 1.7), 0.7);
    let air = 50;
    if (z < 25) {
      const sinusShell = Math.max(Math.abs(inner - thickness * 0.55) - (thickness * 0.45 - 1.4), 0.42 - sinusRoom);
      const septum = Math.abs(x - 2 + 2 * noise.at(0, y, z, 12)) - 0.6;
      if (sinus.air && y < 0) air = Math.max(sinusShell * (sinusShell > 0 ? 8 : 1), -septum);
    }
    if (z < 12 && inner > -2) {
      const cells = 0.55 - Math.abs(noise.at(x, y, z, 5.5));
      const petrous = this.#petrous.distance(ax, y, z);
      const mastoid = ellipsoid(ax - 57, y - 19, z + 36, 11, 13, 17);
      let solid = Math.min(petrous, mastoid, this.#clivus.distance(x, y, z) - 1);
      solid = Math.min(solid, ellipsoid(x, y + 20, z + 30, 14, 17, 19), this.#wing.distance(ax, y, z));
      bone = Math.min(bone, Math.max(solid, -inner));
      cancellous = Math.max(cancellous * 0.6, inside(solid + 3, 2) * (petrous < 0 ? 0.1 : 0.6));
      const pneumatised = Math.min(
        ellipsoid(ax - 57, y - 19, z + 36, this.#mastoid - 3, this.#mastoid - 1, 14),
        ellipsoid(ax - 50, y - 12, z + 27, 9, 5, 5),
      );
      air = Math.min(air, Math.max(pneumatised, cells * 2.6));
      air = Math.min(air, this.#earCanal.distance(ax, y, z));
      bone = this.#face(site, bone, cells);
      air = Math.min(air, this.#faceAir(x, y, z, cells));
    }
    if (z < -50) {
      const spine = Math.max(this.#vertebra.distance(x, y, z), -this.#canal.distance(x, y, z));
      const arch = Math.abs(this.#canal.distance(x, y, z) - 4) - 3.4;
      const gaps = 1.6 - 6 * Math.abs(Math.sin((z + 60) / 6.2));
      const vertebral = smoothMin(spine, z < -62 ? arch : 50, 3);
      bone = Math.min(bone, z < -62 ? Math.max(vertebral, gaps) : bone);
      cancellous = Math.max(cancellous, inside(vertebral + 2.5, 2));
    }
    site.bone = Math.max(bone, outer + 1.5);
    site.air = air;
    const grain = noise.at(x, y, z, 3.1);
    site.boneHu = 1480 + 60 * grain - cancellous * (720 - 150 * noise.at(x, y, z, 9));
    if (inner > -1) site.soft = this.#softTissue(site, scalp, vault - thickness);
  }

  #face(site: Site, bone: number, cells: number): number {
    const { x, y, z } = site;
    if (z > 6) return bone;
    const ax = Math.abs(x);
    let b = bone;
    if (y < -20) {
      const orbit = this.#orbit.distance(ax, y, z);
      b = Math.max(b, -orbit);
      const wall = Math.max(Math.abs(orbit - 1) - 1, -74 - y);
      b = Math.min(b, wall, Math.max(Math.abs(orbit - 3) - 3, Math.abs(y + 74) - 5));
      if (ax < 16 && z > -56 && z < -8) {
        const ethmoid = Math.max(ax - 12, -84 - y, y + 34);
        b = Math.min(b, Math.max(ethmoid, 0.25 - cells));
      }
      if (z < -36) {
        const antrum = ellipsoid(ax - 31, y + 63, z + 55, 14, 17, 18);
        b = Math.min(b, Math.abs(antrum - 0.8) - 0.9);
        const arch = Math.max(Math.abs(ellipsoid(x, y + 52, 0, 27, 36, 1e3)) - 6, Math.abs(z + 84) - 12, y + 50);
        b = Math.min(b, arch, Math.max(Math.abs(z + 76) - 2, ellipsoid(x, y + 52, 0, 27, 36, 1e3), y + 45));
        b = Math.min(b, Math.max(ax - 0.8, -80 - y, y + 36, -z - 75));
      }
      for (const part of this.#zygoma) b = Math.min(b, part.distance(ax, y, z));
    }
    if (z < -48) {
      const j = Math.min(
        this.#mandible[0]!.distance(ax, y, z),
        this.#mandible[1]!.distance(ax, y, z),
        this.#mandible[2]!.distance(ax, y, z),
      );
      b = Math.min(b, j);
      b = Math.min(b, Math.max(Math.abs(ellipsoid(ax - 22, y + 20, 0, 4, 8, 1e3)) - 1.2, -z - 80));
    }
    return b;
  }

  #faceAir(x: number, y: number, z: number, cells: number): number {
    const ax = Math.abs(x);
    let air = 50;
    if (y < 5 && z < -8) {
      if (y < -28 && z > -58) {
        air = Math.max(ax - 11, -82 - y, y + 36, z + 13, -z - 52, cells * 2.2 - 0.2);
      }
      const sphenoid = Math.max(ellipsoid(x, y + 23, z + 29, 11, 13, 9), 0.5 - Math.abs(x - 3));
      air = Math.min(air, sphenoid);
      if (z < -34) {
        air = Math.min(air, ellipsoid(ax - 31, y + 63, z + 55, 13.2, 16.2, 17.2));
        const turbinate = 2.2 - Math.abs(this.#noise.at(x, 0.4 * y, z, 7)) * 4.5;
        air = Math.min(air, Math.max(Math.abs(ax - 6.5) - 4.5, -88 - y, y + 30, z + 44, -z - 73, turbinate));
        air = Math.min(air, Math.max(ellipsoid(x, y + 19, 0, 11, 6, 1e3), z + 52));
      }
    }
    return air;
  }

  #softTissue(site: Site, scalp: number, skullOuter: number): number {
    const { x, y, z, outer } = site;
    const ax = Math.abs(x);
    const noise = this.#noise;
    const depth = -outer;
    if (z < 0 && y < -25) {
      const orbit = this.#orbit.distance(ax, y, z);
      const globe = ellipsoid(ax - 31, y + 80, z + 25, 12, 12, 12);
      if (globe < 0) {
        if (ellipsoid(ax - 31, y + 87.5, z + 25, 4.6, 2.4, 4.6) < 0) return 95;
        return globe > -1.3 ? 48 : 12;
      }
      if (orbit < 0.5) {
        let d = this.#nerve.distance(ax, y, z);
        for (const muscle of this.#muscles) d = Math.min(d, muscle.distance(ax, y, z));
        return d < 0 ? 44 : -95;
      }
    }
    if (depth < 1.6) return SKIN;
    const deep = skullOuter > scalp + 4 || z < -45;
    if (deep) {
      const planes = noise.at(x, y, z, 11) + 0.5 * noise.at(x, y, z, 5) + (depth < 9 ? 1.1 : 0);
      const share = inside(0.75 - planes, 0.35);
      return MUSCLE + share * (FAT - MUSCLE);
    }
    const fatDepth = 1.6 + this.#fat * (this.#scalp - 1.6);
    const lobules = 14 * noise.at(x, y, z, 4);
    return depth < fatDepth ? FAT + lobules : MUSCLE - 6;
  }
}
