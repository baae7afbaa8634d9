import type { LesionContext, LesionPlan } from './lesion.js';
import { tableAt } from './lesion.js';

/** A gas bubble in scanner coordinates (LPS, mm): an ellipsoid aligned with the scanner. */
export interface Bubble {
  readonly u: number;
  readonly v: number;
  readonly w: number;
  readonly ru: number;
  readonly rv: number;
  readonly rw: number;
}

/**
 * Gas inside the skull: a few bubbles where gas rises to in a patient who lies on the back, under the frontal bone,
 * or where it came in, beside the mastoid. Places: frontal, vertex, mastoid.
 */
export function pneumocranium(plan: LesionPlan, context: LesionContext): Bubble[] {
  const { random, head } = context;
  const bubbles: Bubble[] = [];
  const side = plan.side || 1;
  const count = Math.max(1, Math.round(plan.extent / 5));
  let azimuth = plan.place === 'mastoid' ? side * random.range(108, 122) : side * random.range(4, 38);
  for (let i = 0; i < count; i++) {
    const z = plan.z + (i + 0.5 - count / 2) * (plan.extent / count);
    const members = random.int(1, 3);
    const total = random.range(6, 14);
    for (let n = 0; n < members; n++) {
      const area = (total / members) * random.range(0.7, 1.3);
      const flat = random.range(0.75, 1);
      const ru = Math.sqrt(area / (Math.PI * flat));
      const rv = ru * flat;
      const at = azimuth + n * random.range(3, 9) * random.sign();
      const [x, y] = tableAt(head, at, z, 1.6 + ru + random.range(0, n > 0 ? 5 : 1.5));
      const [u, v, w] = head.toScanner(x, y, z);
      bubbles.push({ u, v, w, ru, rv, rw: random.range(2.6, 3.8) });
    }
    azimuth += random.range(-6, 6);
  }
  return bubbles;
}
