import { expect, it } from 'vitest';

import { everyKind } from './compressed-fixture.js';
import { fuzzDicom } from './fuzz.js';

/** A crash or hang ends the test; `npm run fuzz:dicom` searches longer, and in real files. */
it.each([...everyKind()])('mutated %s files are read or refused in words', async (_, base) => {
  const whole = await fuzzDicom(base, 1, 150);
  expect(whole.faults).toEqual([]);
  // Were all refused at the first check, the rest would not have been tried.
  expect(whole.read).toBeGreaterThan(5);
  expect(whole.refused).toBeGreaterThan(20);
  expect(whole.slowestMs).toBeLessThan(20_000);
});
