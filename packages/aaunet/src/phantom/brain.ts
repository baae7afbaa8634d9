import type { ValueNoise } from './noise-field.js';
import { Lattice, waves } from './noise-field.js';
import type { Random } from './random.js';
import { bump, Capsule, chain, clamp, ellipsoid, inside, smoothMax, smoothMin } from './shapes.js';
import type { Person, Site } from './site.js';
import { Ventricles } from './ventricles.js';

const CSF = 6;
const WHITE = 26;
const GREY = 38.5;

interface Spot {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly hu: number;
}

/** Everything inside the cranial cavity but blood: brain, cerebrospinal fluid, dura, sinuses, calcifications. */
export class Brain {
  readonly ventricles: Ventricles;
  readonly #noise: ValueNoise;
  readonly #person: Person;
  readonly #sulci: Lattice;
  readonly #gap: number;
  readonly #sulcus: number;
  readonly #sylvian: readonly [number, number];
  readonly #falx: { hu: number; half: number; bend: number; phase: number };
  readonly #sinusHu: number;
  readonly #tentHu: number;
  readonly #spots: readonly Spot[];
  readonly #stem = chain([
    [0, 9, 4, 13],
    [0, 9, -10, 14],
    [0, 8, -24, 14.5],
    [0, 10, -34, 13],
    [0, 17, -50, 7.5],
    [0, 20, -66, 5.5],
    [0, 26, -170, 5],
  ]);
  readonly #arteries = [
    new Capsule([0, -7.5, -30], [0, -7, -10], 1.5, 1.7),
    new Capsule([7, -18, -9], [30, -17, -13], 1.5, 1.2),
  ];
  readonly #arteryHu: readonly [number, number];

  constructor(random: Random, noise: ValueNoise, person: Person) {
    this.#noise = noise;
    this.#person = person;
    this.ventricles = new Ventricles(random, noise, person);
    const fold = waves(random, random.range(23, 28), 26);
    const wobble = 2.2;
    // Sampled where the ray through a point meets the surface, so that sulci cut into the brain at right angles.
    this.#sulci = new Lattice([-78, -96, -66], [78, 96, 84], 3)
      .fill((x, y, z) => {
        const q = clamp(Math.sqrt((x / 68) ** 2 + (y / 87) ** 2 + (z / 76) ** 2), 0.45, 1.1);
        const s = 1 + 0.8 * (1 / q - 1);
        const w = wobble * noise.at(x, y, z, 12);
        return fold(x * s + w, y * s - w, z * s + w);
      })
      .toDistance(0.055);
    this.#gap = 0.7 + 2.3 * person.atrophy + random.range(0, 0.5);
    this.#sulcus = 0.55 + 1.25 * person.atrophy;
    this.#sylvian = [random.range(0.7, 1.2), random.range(0.7, 1.2)];
    const thick = random.chance(0.25);
    this.#falx = {
      hu: thick ? random.range(62, 85) : random.range(48, 58),
      half: thick ? random.range(0.9, 1.6) : random.range(0.45, 0.7),
      bend: random.range(-1.8, 1.8),
      phase: random.range(0, 6.28),
    };
    this.#sinusHu = random.chance(0.25) ? random.range(64, 72) : random.range(50, 60);
    this.#tentHu = random.chance(0.2) ? random.range(60, 75) : random.range(48, 56);
    const dense = random.chance(0.15) ? 68 : 46;
    this.#arteryHu = random.chance(0.5) ? [dense, 45] : [45, dense];
    this.#spots = calcifications(random, person);
  }

  /** Height over the tentorium (mm) at a point of the undeformed brain. */
  overTentorium(x: number, y: number, z: number): number {
    const ax = Math.abs(x);
    const sheet = 13 - 0.42 * ax - 0.0022 * ax * ax - 0.32 * (y - 28) + (y < 28 ? 0.55 * (y - 28) : 0);
    return (z - sheet) * 0.85;
  }

  /** Fills `parenchyma`, `ventricle`, `overTentorium`, `midline` and `soft`. `covered`: how far from the skull the brain starts, mm. */
  measure(site: Site, covered: number): void {
    const depthInBrain = site.inner + covered;
    // Under a collection the fluid is pressed out and the sulci are narrow.
    const pressed = 1 - 0.65 * clamp(covered / 5, 0, 1);
    const { brainX: x, brainY: y, brainZ: z } = site;
    const ax = Math.abs(x);
    const noise = this.#noise;
    const atrophy = this.#person.atrophy;
    const tent = this.overTentorium(x, y, z);
    site.overTentorium = tent;
    const falx = this.#falx;
    site.midline = site.x - falx.bend * Math.sin(site.y / 32 + falx.phase) - 0.5 * noise.at(3, site.y, site.z, 24);

    let stem = 60;
    if (ax < 40 && z < 14) for (const part of this.#stem) stem = smoothMin(stem, part.distance(x, y, z), 6);

    const frontal = clamp((-y - 10) / 60, 0, 1);
    const gap = this.#gap * (1 + 0.7 * frontal + 0.25 * noise.at(x, y, z, 21)) * (z < -12 ? 0.75 : 1) * pressed;
    const surface = depthInBrain + gap;
    // Cerebrum: above the tentorium, outside the cisterns; the convex brain without its sulci first.
    let cerebrum = smoothMax(surface, y > 6 ? 1.3 - tent : -60, 3);
    if (z < 8) {
      let well = stem - 3.8;
      const angle = Math.atan2(x, -(y + 15));
      const radius = (10.5 + 2 * atrophy) * (1 + 0.26 * Math.cos(5 * angle));
      const star = Math.max(Math.sqrt(x * x + (y + 15) * (y + 15)) - radius, Math.abs(z + 11) - 7.5);
      well = smoothMin(well, star, 2);
      well = Math.min(well, ellipsoid(x, y - 25 + 0.02 * x * x, z - 1, 11, 3, 5));
      if (z < -2) well = Math.max(well, -60);
      const open = z > 3 ? Math.max(well, z - 7) : well;
      // Midbrain merges with the thalami above.
      cerebrum = Math.max(cerebrum, -Math.max(open, z - 3 + 0.4 * (26 - y > 0 ? 26 - y : 0)));
    }
    const folds = this.#sulci.at(x, y, z);
    const deep = -surface;
    const reach = 15 + 7 * noise.at(x, y, z, 17);
    const width = pressed * this.#sulcus * (1 + 0.45 * noise.at(x, y, z, 23)) * (1 + 0.5 * frontal * atrophy);
    let groove = 30;
    if (deep < reach) groove = Math.abs(folds) - width * Math.sqrt(clamp(1 - deep / reach, 0, 1)) - 0.15;
    // Interhemispheric fissure down to the corpus callosum; Sylvian fissures with the insular cisterns.
    const callosum = ellipsoid(0, y - 6, z - 4, 1e3, 46, 25);
    const fissure = Math.abs(x - 1.2 * noise.at(0, y, z, 15)) - 0.8 - 1.3 * atrophy * (0.4 + frontal);
    groove = Math.min(groove, Math.max(fissure, -callosum, y > 6 ? -tent - 2 : -60));
    if (z > -24 && z < 34 && y > -34 && y < 44 && ax > 20) groove = Math.min(groove, this.#sylvianFissure(x, y, z));
    const cortex = Math.max(cerebrum, -groove);

    let parenchyma = Math.min(cortex, stem);
    let cerebellum = 60;
    if (y > 4 && z < 22) {
      const hemispheres = Math.max(depthInBrain + 1.2 + atrophy, tent + 1.1, -52 - z);
      const vallecula = Math.max(ax - 1.2 - 0.1 * (y - 66), 66 - y);
      cerebellum = smoothMax(hemispheres, -Math.min(vallecula, 60), 3);
      const magna = ellipsoid(x, y - 46, z + 56, 13, 18, 9 + 4 * atrophy);
      cerebellum = Math.max(
        cerebellum,
        -magna,
        8 - y + 0.15 * ax,
        -ellipsoid(x, y - 25 + 0.02 * x * x, z - 1, 11, 3, 5),
      );
      const folia = Math.abs(Math.sin((z + 0.35 * y + 3 * noise.at(x, y, z, 14)) / 1.9)) * 1.5 - 0.28 - 0.5 * atrophy;
      cerebellum = Math.max(cerebellum, -Math.max(folia, -9 - cerebellum));
      parenchyma = Math.min(parenchyma, cerebellum);
    }
    const ventricle = this.ventricles.distance(x, y, z);
    site.ventricle = Math.max(ventricle, site.inner + 2);
    site.parenchyma = parenchyma;
    const whole = Math.max(parenchyma, -ventricle);
    site.soft = this.#density(site, whole, cortex, cerebellum, stem, ventricle);
  }

  #sylvianFissure(x: number, y: number, z: number): number {
    const ax = Math.abs(x);
    const open = this.#sylvian[x < 0 ? 0 : 1] * (0.6 + 1.5 * this.#person.atrophy);
    const bend = 2.2 * this.#noise.at(x, y, z, 13);
    const insulaX = 39 + 0.02 * (y + 1) * (y + 1) + bend;
    const insula = Math.max(Math.abs(ax - insulaX) - 0.7 * open - 0.3, Math.abs(y + 1) - 17, Math.abs(z - 5) - 15);
    const lineY = -16 + 0.85 * (z + 6) + 0.12 * (ax - 40) + bend;
    const cleft = Math.max(Math.abs(y - lineY) * 0.76 - open, 37 - ax, -20 - z, z - 24);
    const stemY = -20 + 0.1 * ax + bend * 0.5;
    const stem = Math.max(Math.abs(y - stemY) - 1.3 * open, Math.abs(z + 9) - 7, ax - 42);
    return Math.min(insula, cleft, stem);
  }

  #density(site: Site, whole: number, cortex: number, cerebellum: number, stem: number, ventricle: number): number {
    const { brainX: x, brainY: y, brainZ: z, inner } = site;
    const ax = Math.abs(x);
    const noise = this.#noise;
    const ribbon = 3 + 0.7 * noise.at(x, y, z, 8);
    let grey = 1 - inside(cortex + ribbon, 0.9);
    if (z > -16 && z < 26 && ax < 44) {
      let nuclei = ellipsoid(ax - 25 + 0.28 * (y + 2), y + 3, z - 4, 6.5, 17, 11);
      nuclei = Math.min(
        nuclei,
        ellipsoid(ax - 17.5, y + 22, z - 8, 7.5, 14, 13),
        ellipsoid(ax - 10.5, y - 9, z - 7, 8, 14, 9.5),
      );
      grey = Math.max(grey, inside(nuclei, 1.3));
    }
    if (cerebellum < 0.5) grey = Math.max(0.35 + 0.3 * noise.at(x, 0.5 * y, z, 6), 1 - inside(cerebellum + 5, 2));
    else if (stem < 0) grey = Math.max(grey * 0.3, 0.4);
    const aged = this.#person.atrophy * bump((ventricle - 1) / 4.5, 0, 0) * 7;
    const matter = WHITE + (GREY - WHITE) * clamp(grey, 0, 1) - aged + 0.9 * noise.at(x, y, z, 13);
    let hu = CSF + (matter - CSF) * inside(whole, 0.55);

    // Dura: falx with its sinus, tentorium.
    const { x: px, y: py, z: pz } = site;
    const falx = this.#falx;
    const free = ellipsoid(0, py - 10, pz - 2, 1e3, 58 - (py < 0 ? 1 : 0), 38);
    if (pz > -14 && Math.abs(site.midline) < 8) {
      const leaf = Math.max(Math.abs(site.midline) - falx.half, -free, py > 6 ? -site.overTentorium : -60);
      hu += (falx.hu - hu) * inside(leaf, 0.45);
      if (py > -62 || pz > 30) {
        const depth = -inner;
        const sinus = Math.max(Math.abs(site.midline) - 5.5 + 0.75 * depth, depth - 7.5, -12 - pz);
        if (py > 0 || pz > 40) hu += (this.#sinusHu - hu) * inside(sinus, 0.8);
      }
    }
    if (py > 0 && pz < 26) {
      const notch = ellipsoid(px, py - 8, 0, 19, 27, 1e3);
      const sheet = Math.max(Math.abs(site.overTentorium) - 0.75, -notch);
      hu += (this.#tentHu - hu) * inside(sheet, 0.5);
      const straight = Math.max(Math.sqrt(px * px + site.overTentorium ** 2) - 2.3, 34 - py);
      const transverse = Math.max(Math.abs(site.overTentorium) - 4 - 0.5 * inner, -inner - 7, 26 - py);
      hu += (this.#sinusHu - hu) * Math.max(inside(straight, 0.7), inside(transverse, 0.8));
    }
    if (pz < -4 && ax < 34 && py < 0 && whole > -3) {
      hu += (this.#arteryHu[0] - hu) * inside(this.#arteries[0]!.distance(px, py, pz), 0.5);
      hu += (this.#arteryHu[1] - hu) * inside(this.#arteries[1]!.distance(ax, py, pz), 0.5);
    }
    for (const s of this.#spots) {
      const dz = z - s.z;
      if (dz > 12 || dz < -12) continue;
      const spot = ellipsoid(x - s.x, y - s.y, dz, s.a, s.b, s.c);
      if (spot < 1) hu += (s.hu * (0.8 + 0.25 * noise.at(x, y, z, 2.2)) - hu) * inside(spot, 0.7);
    }
    return hu;
  }
}

/** Physiological calcifications that imitate blood: pineal gland, choroid plexus, globus pallidus, falx. */
function calcifications(random: Random, person: Person): Spot[] {
  const spots: Spot[] = [];
  const add = (x: number, y: number, z: number, size: number, hu: number): void => {
    const r = (): number => size * random.range(0.75, 1.25);
    spots.push({ x, y, z, a: r(), b: r(), c: r() * 1.2, hu });
  };
  if (random.chance(0.25 + 0.6 * (person.age / 90)))
    add(random.range(-1, 1), 27, 4, random.range(1.4, 3.2), random.range(120, 380));
  if (random.chance(0.15 + 0.7 * (person.age / 90))) {
    for (const side of [-1, 1]) {
      const n = random.int(0, 3);
      for (let i = 0; i < n; i++) {
        add(
          side * random.range(22, 27),
          random.range(33, 41),
          random.range(8, 18),
          random.range(1.1, 2.8),
          random.range(80, 350),
        );
      }
    }
  }
  if (random.chance(0.25 * (person.age / 60))) {
    for (const side of [-1, 1])
      add(
        side * random.range(17, 20),
        random.range(-6, 2),
        random.range(0, 5),
        random.range(1.5, 3),
        random.range(65, 150),
      );
  }
  if (random.chance(0.3 * (person.age / 60))) {
    const y = random.range(-60, 40);
    spots.push({
      x: 0.5,
      y,
      z: random.range(45, 60),
      a: 1.3,
      b: random.range(3, 7),
      c: random.range(4, 8),
      hu: random.range(200, 700),
    });
  }
  return spots;
}
