import { Worker } from 'node:worker_threads';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { schemas } from '../operators.js';
import { manualSeed, memoryStats } from '../runtime.js';
import { publicOperators, randomCall, randomFrom, seedOf } from './random-call.js';

const LIMIT_MS = 120_000;

// An operator that never returns blocks the event loop, and with it Vitest's own time limit: only another thread can end it.
let watchdog: Worker;
beforeAll(() => {
  watchdog = new Worker(`setTimeout(() => process.kill(process.pid, 'SIGKILL'), ${LIMIT_MS})`, { eval: true });
});
afterAll(async () => {
  await watchdog.terminate();
});

/**
 * A crash ends the test's process. Which operator it was, and a longer search, `npm run fuzz -w @aaunet/torch` tells.
 */
it('no operator that `aten` calls ends the process or hangs, whatever its arguments', { timeout: LIMIT_MS }, () => {
  const before = memoryStats();
  let accepted = 0;
  const operators = publicOperators(schemas());
  for (const schema of operators)
    for (let attempt = 0; attempt < 5; attempt++) {
      const seed = seedOf(schema, attempt);
      manualSeed(seed);
      if (randomCall(schema, randomFrom(seed))) accepted += 1;
    }
  expect(operators.length).toBeGreaterThan(1500);
  // Calls that all fail at the first check would prove little.
  expect(accepted).toBeGreaterThan(operators.length / 2);
  expect(memoryStats()).toEqual(before);
});
