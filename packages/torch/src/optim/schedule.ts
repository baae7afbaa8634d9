/** The learning rate of a step, counted from 0. */
export type Schedule = (step: number) => number;

export function constant(lr: number): Schedule {
  return () => lr;
}

/**
 * The cyclic learning rate (Smith 2017, arXiv:1506.01186): up from `base` to `max` in `stepsUp` steps and down again in
 * `stepsDown`; with `triangular2` each cycle climbs half as high as the one before.
 */
export function cyclic(options: {
  base: number;
  max: number;
  stepsUp: number;
  stepsDown?: number;
  mode?: 'triangular' | 'triangular2';
}): Schedule {
  const { base, max, stepsUp, stepsDown = stepsUp, mode = 'triangular2' } = options;
  if (!(stepsUp > 0 && stepsDown > 0))
    throw new RangeError(`cyclic: expected positive steps, got ${stepsUp} up and ${stepsDown} down.`);
  return (step) => {
    const cycle = Math.floor(step / (stepsUp + stepsDown));
    const position = step - cycle * (stepsUp + stepsDown);
    const height = position < stepsUp ? position / stepsUp : 1 - (position - stepsUp) / stepsDown;
    return base + (max - base) * height * (mode === 'triangular2' ? 2 ** -cycle : 1);
  };
}
