import { clamp, smoothMax } from '../shapes.js';
import type { Site } from '../site.js';
import type { Lesion, LesionContext, LesionPlan } from './lesion.js';
import { azimuth, clot, tableAt } from './lesion.js';

/** Acute blood of one patient: EDH and SDH draw from the same densities and the same texture on purpose. */
function acuteBlood(context: LesionContext, faint: boolean): (site: Site) => number {
  const { random, noise } = context;
  const base = faint ? random.range(49, 55) : random.range(58, 74);
  const mottle = random.range(1.5, 4);
  const swirl = random.chance(0.3) ? random.range(14, 34) : 0;
  return (site) => clot(noise, site, base, mottle, swirl);
}

interface Cap {
  /** Azimuth of the centre in degrees and half lengths along the skull, mm. */
  readonly azimuth: number;
  readonly along: number;
  readonly up: number;
  readonly thickness: number;
  /** Power of the profile: 1 a lens, less a plateau with blunt ends. */
  readonly power: number;
  readonly rough: number;
}

const RADIUS = 76;

/** Thickness profile of a collection on the inner table; negative beyond its rim. */
function profile(cap: Cap, plan: LesionPlan, context: LesionContext): (site: Site) => number {
  const { noise } = context;
  return (site) => {
    const { x, y, z } = site;
    const r = Math.sqrt(x * x + y * y);
    let turn = azimuth(x, y) - cap.azimuth;
    if (turn > 180) turn -= 360;
    if (turn < -180) turn += 360;
    const along = (turn * Math.PI * clamp(r, 25, RADIUS)) / 180 / cap.along;
    const up = (z - plan.z) / cap.up;
    const q = 1 - along * along - up * up + 0.1 * noise.at(x, y, z, 22);
    if (q <= 0) return q * 12;
    return cap.thickness * Math.pow(q, cap.power) * (1 + cap.rough * noise.at(x, y, z, 11));
  };
}

function box(plan: LesionPlan, cap: Cap): Pick<Lesion, 'low' | 'high'> {
  const side = plan.side;
  return {
    low: [side > 0 ? -4 : -85, -105, plan.z - cap.up * 1.2 - 2],
    high: [side < 0 ? 4 : 85, 105, plan.z + cap.up * 1.2 + 2],
  };
}

function massEffect(cap: Cap, plan: LesionPlan, context: LesionContext, share: number): NonNullable<Lesion['push']> {
  const [x, y, z] = tableAt(context.head, cap.azimuth, plan.z, cap.thickness);
  const r = Math.max(1, Math.sqrt(x * x + y * y));
  const size = cap.thickness * share;
  return { x, y, z, dx: (-x / r) * size, dy: (-y / r) * size, dz: -0.15 * size, radius: 26 + 0.25 * cap.along };
}

/** Epidural haematoma: a lens between skull and dura, held by the sutures. Places: temporal, parietal, frontal. */
export function epidural(plan: LesionPlan, label: number, context: LesionContext): Lesion {
  const { random } = context;
  const up = plan.extent / 2;
  const along = Math.min(up * random.range(0.85, 1.15), 36);
  const where = { temporal: [80, 100], parietal: [108, 128], frontal: [38, 52], occipital: [142, 155] } as const;
  const range = where[plan.place as keyof typeof where];
  const cap: Cap = {
    azimuth: (plan.side || 1) * random.range(range[0], range[1]),
    along,
    up,
    // Thick for its length, so that it bulges inwards across the curve of the skull.
    thickness: clamp(Math.min(along, up) * random.range(0.5, 0.85), 6, 32),
    power: 0.85,
    rough: 0.03,
  };
  const depth = profile(cap, plan, context);
  const side = plan.side || 1;
  return {
    plan,
    label,
    ...box(plan, cap),
    softness: 0.5,
    distance: (site) => {
      const lens = (-context.head.skull.vault(site.x, site.y, site.z) - depth(site)) * 0.9;
      const d = Math.max(lens, site.inner + 0.3, 3 - side * site.x);
      return plan.place === 'occipital' || site.y < 6 ? d : Math.max(d, 2 - site.overTentorium);
    },
    density: acuteBlood(context, plan.faint),
    push: massEffect(cap, plan, context, 0.75),
    thickness: depth,
  };
}

/** Subdural haematoma. Places: convexity (a crescent across the sutures), falx, tentorium. */
export function subdural(plan: LesionPlan, label: number, context: LesionContext): Lesion {
  const { random, noise } = context;
  const side = plan.side || 1;
  const density = acuteBlood(context, plan.faint);
  if (plan.place === 'falx' || plan.place === 'tentorium') {
    const thick = random.range(3, 6.5);
    const y0 = random.pick([-45, 20, 55]);
    const length = random.range(30, 60);
    const high = plan.z + plan.extent / 2;
    const low = plan.z - plan.extent / 2;
    const falx = plan.place === 'falx';
    return {
      plan,
      label,
      low: [-60, -95, low - 3],
      high: [60, 100, high + 3],
      softness: 0.5,
      distance: (site) => {
        const taper = 1 + 0.3 * noise.at(site.x, site.y, site.z, 14);
        if (falx) {
          const t = side * site.midline;
          const width = thick * taper * Math.sqrt(clamp(1 - ((site.y - y0) / length) ** 2, 0, 1));
          const ends = Math.max(Math.abs(site.y - y0) - length, site.z - high, low - site.z);
          const rim = Math.sqrt((site.y / 46) ** 2 + ((site.z - 4) / 28) ** 2) - 1;
          return Math.max(
            Math.abs(t - width / 2) - width / 2,
            ends,
            -rim * 30,
            site.inner + 1.5,
            2 - site.overTentorium,
          );
        }
        const t = site.overTentorium - 0.6;
        const ends = Math.max(4 - side * site.x, 22 - site.y, site.z - high, low - site.z);
        return Math.max(Math.abs(t - (thick * taper) / 2) - (thick * taper) / 2, ends, site.inner + 1);
      },
      density,
    };
  }
  const cap: Cap = {
    azimuth: side * random.range(72, 102),
    along: random.range(70, 112),
    up: plan.extent / 2,
    thickness: random.chance(0.3) ? random.range(4, 6.5) : random.range(6.5, 14),
    power: 0.65,
    rough: 0.16,
  };
  const depth = profile(cap, plan, context);
  return {
    plan,
    label,
    ...box(plan, cap),
    softness: 0.55,
    distance: (site) => {
      // The inner margin follows the gyri: blood dips a little into the sulci, no further.
      const gyri = 0.9 * noise.at(site.x, site.y, site.z, 6);
      const d = Math.max(
        -context.head.skull.vault(site.x, site.y, site.z) - depth(site) - gyri,
        site.inner + 0.6,
        3 - side * site.midline,
      );
      return site.y > 6 ? smoothMax(d, 1.5 - site.overTentorium, 2) : d;
    },
    density,
    push: massEffect(cap, plan, context, 0.7),
    thickness: depth,
  };
}

/** Chronic subdural haematoma: places plain, membranes, layered, mixed say what is in the crescent. */
export function chronicSubdural(plan: LesionPlan, label: number, context: LesionContext): Lesion {
  const { random, noise } = context;
  const side = plan.side || 1;
  const cap: Cap = {
    azimuth: side * random.range(62, 88),
    along: random.range(68, 105),
    up: plan.extent / 2,
    thickness: random.range(9, 22),
    power: 0.6,
    rough: 0.05,
  };
  const depth = profile(cap, plan, context);
  const base = plan.faint ? random.range(25, 32) : random.range(12, 22);
  const level = random.range(-10, 25);
  const spacing = random.range(9, 15);
  const texture = (site: Site): number => {
    const { x, y, z } = site;
    let hu = base + 2.2 * noise.at(x, y, z, 7) + 2.5 * noise.at(x, y, z, 16);
    if (plan.place === 'layered') hu += 24 * clamp((site.down - level) / 14 + 0.4 * noise.at(x, y, z, 12), 0, 1);
    if (plan.place === 'mixed') hu += 26 * clamp(noise.at(x, y, z, 13) * 1.4 - 0.35, 0, 1.1);
    if (plan.place === 'membranes') {
      const wall = Math.abs(noise.at(x, y, z, spacing)) * spacing * 0.55;
      hu += wall < 1.3 ? 22 * (1 - wall / 1.3) : 0;
    }
    // The outer membrane is denser than the fluid.
    return hu + (site.inner > -2.4 ? 10 : 0);
  };
  return {
    plan,
    label,
    ...box(plan, cap),
    softness: 0.6,
    distance: (site) => {
      const d = Math.max(
        -context.head.skull.vault(site.x, site.y, site.z) - depth(site),
        site.inner + 0.6,
        3 - side * site.midline,
      );
      return site.y > 6 ? smoothMax(d, 2 - site.overTentorium, 2) : d;
    },
    density: texture,
    push: massEffect(cap, plan, context, 0.75),
    thickness: depth,
  };
}
