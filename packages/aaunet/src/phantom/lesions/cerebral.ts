import { clamp, ellipsoid, inside } from '../shapes.js';
import type { Site } from '../site.js';
import type { Lesion, LesionContext, LesionPlan } from './lesion.js';
import { azimuth, clot } from './lesion.js';

/** One density for blood in brain, ventricles and cisterns: place and shape tell ICH, IVH and SAH apart. */
function freshBlood(context: LesionContext, faint: boolean): (site: Site) => number {
  const { random, noise } = context;
  const base = faint ? random.range(46, 52) : random.range(57, 74);
  const mottle = random.range(1.5, 4);
  return (site) => clot(noise, site, base, mottle, 0);
}

const DEEP: Record<string, readonly [number, number]> = {
  putamen: [27, -1],
  thalamus: [13, 10],
  pons: [3, 7],
  cerebellum: [22, 44],
  frontal: [26, -44],
  parietal: [34, 34],
  temporal: [46, -4],
  occipital: [24, 58],
};

/** Intracerebral haemorrhage: irregular clot in the parenchyma with a rim of oedema. Places: keys of DEEP. */
export function intracerebral(plan: LesionPlan, label: number, context: LesionContext): Lesion {
  const { random, noise } = context;
  const [px, py] = DEEP[plan.place] ?? [26, 0];
  const side = plan.side || 1;
  const cx = side * (px + random.range(-2, 2));
  const cy = py + random.range(-4, 4);
  const c = plan.extent / 2;
  const slim = plan.place === 'putamen' ? [0.62, 1.05] : plan.place === 'pons' ? [0.8, 0.7] : [0.85, 0.95];
  const a = Math.min(c * slim[0]! * random.range(0.85, 1.15), 26);
  const b = Math.min(c * slim[1]! * random.range(0.85, 1.15), 32);
  const turn = random.range(-0.5, 0.5);
  const [ct, st] = [Math.cos(turn), Math.sin(turn)];
  const lobes = [0, 1, 2].slice(0, random.int(1, 3)).map(() => ({
    x: random.range(-0.7, 0.7) * a,
    y: random.range(-0.8, 0.8) * b,
    z: random.range(-0.5, 0.5) * c,
    r: random.range(0.35, 0.6) * Math.min(a, b),
  }));
  const ragged = clamp(0.22 * Math.min(a, b), 0.8, 3.2);
  const rim = random.range(4, 9) * clamp(c / 14, 0.5, 1.2);
  const oedema = random.range(11, 17);
  const density = freshBlood(context, plan.faint);
  const reach = Math.max(a, b) + 16;
  return {
    plan,
    label,
    low: [cx - reach, cy - reach, plan.z - c - 12],
    high: [cx + reach, cy + reach, plan.z + c + 12],
    softness: random.range(0.6, 1.1),
    distance: (site) => {
      const dx = site.x - cx;
      const dy = site.y - cy;
      const dz = site.z - plan.z;
      const u = ct * dx + st * dy;
      const v = ct * dy - st * dx;
      let d = ellipsoid(u, v, dz, a, b, c);
      for (const l of lobes) d = Math.min(d, Math.sqrt((u - l.x) ** 2 + (v - l.y) ** 2 + (dz - l.z) ** 2) - l.r);
      d += ragged * (noise.at(site.x, site.y, site.z, 8) + 0.45 * noise.at(site.x, site.y, site.z, 3.5));
      // It may bleed into a ventricle, but what lies there is IVH.
      return Math.max(d, site.parenchyma - 0.4, -site.ventricle, site.inner + 1.5);
    },
    density,
    surroundings: (site, distance) => {
      const width = rim * (1 + 0.5 * noise.at(site.x, site.y, site.z, 10));
      const inBrain = inside(site.parenchyma, 0.6) * inside(-site.ventricle, 0.6);
      const share = clamp(1 - Math.max(0, distance - 0.5 * width) / Math.max(0.8, 0.6 * width), 0, 1) * inBrain;
      return share * 0.9 * Math.min(0, oedema - site.soft);
    },
    ...(c > 9 ? { push: { x: cx, y: cy, z: plan.z, dx: -side * 0.14 * c, dy: 0, dz: 0, radius: 2.2 * c } } : {}),
  };
}

/** Intraventricular haemorrhage. Places: layered (fluid level in the occipital horns), cast, fourth, third. */
export function intraventricular(plan: LesionPlan, label: number, context: LesionContext): Lesion {
  const { random, head, noise } = context;
  const density = freshBlood(context, plan.faint);
  const ventricles = head.brain.ventricles;
  const low = plan.z - plan.extent / 2;
  const high = plan.z + plan.extent / 2;
  const cast = plan.place === 'cast';
  const side = plan.side;
  const [, level] = head.toScanner(0, random.range(26, 36), 12);
  const thirdToo = random.chance(cast ? 0.6 : 0.2);
  const fourthToo = random.chance(cast ? 0.5 : 0.15);
  return {
    plan,
    label,
    low: [-55, -60, plan.place === 'layered' || cast ? (fourthToo ? -45 : low - 2) : low - 2],
    high: [55, 80, high + 2],
    softness: 0.5,
    distance: (site) => {
      const d = site.ventricle - 0.2;
      if (d > 3) return d;
      const part = ventricles.part(site.brainX, site.brainY, site.brainZ);
      const slab = Math.max(low - site.z, site.z - high);
      const gaps = noise.at(site.x, site.y, site.z, 11) * 3;
      if (part === 'third') return plan.place === 'third' || thirdToo ? Math.max(d, slab) : 20;
      if (part === 'fourth') return plan.place === 'fourth' || fourthToo ? Math.max(d, site.z - -10) : 20;
      if (plan.place === 'third' || plan.place === 'fourth') return 20;
      if (side !== 0 && side * site.brainX < 0) return Math.max(d, level + 14 - site.down, slab);
      if (cast) return Math.max(d, slab, gaps - 3.6);
      return Math.max(d, level - site.down + 0.4 * gaps, slab);
    },
    density,
  };
}

/** Subarachnoid haemorrhage. Places: cisterns (aneurysm), sylvian, sulci (trauma), diffuse. */
export function subarachnoid(plan: LesionPlan, label: number, context: LesionContext): Lesion {
  const { random, noise } = context;
  const density = freshBlood(context, plan.faint);
  const low = plan.z - plan.extent / 2;
  const high = plan.z + plan.extent / 2;
  const side = plan.side || 1;
  const centre = random.range(45, 120) * side;
  const half = random.range(32, 55);
  const swell = random.range(0.5, 0.95);
  const place = plan.place;
  return {
    plan,
    label,
    low: [-85, -100, low - 3],
    high: [85, 100, high + 3],
    softness: 0.55,
    distance: (site) => {
      const { x, y, z } = site;
      // Blood fills the fluid between brain and arachnoid and distends the sulci.
      const fluid = Math.max(
        -site.parenchyma - swell,
        site.inner + 0.8,
        1.2 - site.ventricle,
        0.9 - Math.abs(site.midline),
      );
      if (fluid > 3) return fluid;
      // The films along the tentorium and between the folia stay clear: seen flat, they would cover the cerebellum.
      const film = Math.min(site.y - 24, 2.5 - site.overTentorium);
      if (film > 1) return film;
      const patchy = 5 * noise.at(x, y, z, 15);
      let region = Math.max(low - z, z - high);
      if (place === 'sulci') {
        let turn = Math.abs(azimuth(x, y) - centre);
        if (turn > 180) turn = 360 - turn;
        region = Math.max(region, turn - half + patchy, 10 - side * x);
      } else if (place === 'sylvian') {
        region = Math.max(region, Math.sqrt((x - side * 48) ** 2 + (y + 8) ** 2) - 30 + patchy);
      } else if (place === 'cisterns') {
        const basal = Math.sqrt((x / 1.15) ** 2 + (y + 4) ** 2) - 36;
        const lateral = Math.sqrt((Math.abs(x) - 42) ** 2 + (y + 10) ** 2) - 24;
        const front = Math.max(Math.abs(x) - 9, y + 20);
        region = Math.max(region, Math.min(basal, lateral, front) + patchy);
      } else {
        region = Math.max(region, patchy - 3.2);
      }
      // Far from the sulci, the thin film over the gyri is left out: nobody could see it.
      return Math.max(fluid, region * 0.6, 1.6 + site.inner + 0.3);
    },
    density,
  };
}
