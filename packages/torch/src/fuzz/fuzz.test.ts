import { expect, it } from 'vitest';

import { schemas } from '../operators.js';
import { memoryStats } from '../runtime.js';
import { publicOperators, randomCall, randomFrom, seedOf } from './random-call.js';

/**
 * A crash ends the test's process. Which operator it was, and a longer search, `npm run fuzz -w @aaunet/torch` tells.
 */
it('no operator that `aten` calls ends the process, whatever its arguments', { timeout: 120_000 }, () => {
  const before = memoryStats();
  let accepted = 0;
  const operators = publicOperators(schemas());
  for (const schema of operators)
    for (let attempt = 0; attempt < 5; attempt++)
      if (randomCall(schema, randomFrom(seedOf(schema, attempt)))) accepted += 1;
  expect(operators.length).toBeGreaterThan(1500);
  // Calls that all fail at the first check would prove little.
  expect(accepted).toBeGreaterThan(operators.length / 2);
  expect(memoryStats()).toEqual(before);
});
