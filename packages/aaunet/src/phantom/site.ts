/**
 * One point of the head with everything anatomy and lesions need to know about it. Reused for every point, so that
 * millions of points allocate nothing. Atlas frame, mm: x to the patient's left, y to posterior, z to superior, origin
 * in the middle of the brain at the level of the third ventricle. Distances are signed, negative inside.
 */
export interface Site {
  x: number;
  y: number;
  z: number;
  /** Scanner coordinate to posterior: where gravity pulls in a patient who lies on the back. */
  down: number;
  /** The same point in the brain before a mass pushed it. */
  brainX: number;
  brainY: number;
  brainZ: number;
  /** Skin surface. */
  outer: number;
  /** Inner table of the skull. */
  inner: number;
  /** Any bone, and its density in HU. */
  bone: number;
  boneHu: number;
  /** Any gas inside the head: sinuses, mastoid cells, airway. */
  air: number;
  /** Soft tissue in HU where there is neither bone nor gas. */
  soft: number;
  /** Brain tissue: what is left of the cavity is cerebrospinal fluid. */
  parenchyma: number;
  ventricle: number;
  /** Height over the tentorium in mm: positive in the cerebrum's room. */
  overTentorium: number;
  /** Distance to the middle plane of the falx, signed: positive to the left. */
  midline: number;
}

export function newSite(): Site {
  return {
    x: 0,
    y: 0,
    z: 0,
    down: 0,
    brainX: 0,
    brainY: 0,
    brainZ: 0,
    outer: 0,
    inner: 0,
    bone: 0,
    boneHu: 0,
    air: 0,
    soft: 0,
    parenchyma: 0,
    ventricle: 0,
    overTentorium: 0,
    midline: 0,
  };
}

/** What is known about the person. */
export interface Person {
  readonly age: number;
  /** 0 (tight, young) to 1 (wide sulci and ventricles). */
  readonly atrophy: number;
}
