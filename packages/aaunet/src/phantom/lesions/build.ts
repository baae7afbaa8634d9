import { labelByName } from '@aaunet/imaging';

import type { Head } from '../head.js';
import { Random } from '../random.js';
import { intracerebral, intraventricular, subarachnoid } from './cerebral.js';
import { chronicSubdural, epidural, subdural } from './convexity.js';
import type { Lesion, LesionContext, LesionPlan, LesionType } from './lesion.js';
import type { Bubble } from './pneumocranium.js';
import { pneumocranium } from './pneumocranium.js';

type Builder = (plan: LesionPlan, label: number, context: LesionContext) => Lesion;

const BUILDERS: Record<Exclude<LesionType, 'Pneumocranium'>, Builder> = {
  EDH: epidural,
  SDH: subdural,
  CSDH: chronicSubdural,
  IVH: intraventricular,
  ICH: intracerebral,
  SAH: subarachnoid,
};

/** Where two lesions claim a voxel, the outer one displaces the inner one. */
const ORDER: readonly LesionType[] = ['EDH', 'SDH', 'CSDH', 'IVH', 'ICH', 'SAH'];

/** Turns plans into lesions of a head, and moves the head's brain aside for the masses among them. */
export function buildLesions(head: Head, plans: readonly LesionPlan[]): { lesions: Lesion[]; bubbles: Bubble[] } {
  const lesions: Lesion[] = [];
  const bubbles: Bubble[] = [];
  for (const plan of plans) {
    const context = { head, random: Random.of(plan.seed, plan.type), noise: head.noise };
    if (plan.type === 'Pneumocranium') bubbles.push(...pneumocranium(plan, context));
    else lesions.push(BUILDERS[plan.type](plan, labelByName(plan.type).id, context));
  }
  lesions.sort((a, b) => ORDER.indexOf(a.plan.type) - ORDER.indexOf(b.plan.type));
  head.collections = lesions.filter((lesion) => lesion.thickness !== undefined);
  head.pushes = lesions.flatMap((lesion) => lesion.push ?? []);
  return { lesions, bubbles };
}
