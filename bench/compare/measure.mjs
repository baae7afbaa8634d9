// Measures the sides of a comparison in turn, A B C A B C, so that other work on the machine slows all alike.
import { loadavg } from 'node:os';

import { Side } from './side.mjs';

/** Seconds that a side may take to start, and for a first step, in which it may compile. */
const PATIENCE = { start: 300, firstStep: 900, step: 300 };

/**
 * @param onProgress told of every step and its seconds
 * @returns for each side its seconds of every round, what it said of itself and its peak memory, or why it has failed
 */
export async function measure({ sides, warmUps, rounds }, onProgress = () => undefined) {
  const results = {};
  const living = [];
  /** Does something with every side that has not failed; one that fails now is left out from here on. */
  const each = async (task) => {
    for (const side of [...living]) {
      try {
        await task(side, results[side.name]);
      } catch (error) {
        results[side.name].failure = error.message;
        side.kill();
        living.splice(living.indexOf(side), 1);
      }
    }
  };
  try {
    for (const options of sides) {
      living.push(new Side(options));
      results[options.name] = { seconds: [] };
    }
    await each(async (side, result) => Object.assign(result, await side.ready(PATIENCE.start)));
    for (let i = 0; i < warmUps; i++)
      await each(async (side) => {
        onProgress(`${side.name} warm-up`, await side.step(i === 0 ? PATIENCE.firstStep : PATIENCE.step));
      });
    for (let i = 0; i < rounds; i++)
      await each(async (side, { seconds }) => {
        seconds.push(await side.step(PATIENCE.step));
        onProgress(side.name, seconds.at(-1));
      });
    await each(async (side, result) => Object.assign(result, await side.end()));
  } finally {
    for (const side of living) side.kill();
  }
  const counts = new Set(Object.values(results).flatMap(({ parameters }) => parameters ?? []));
  if (counts.size > 1) throw new Error(`The sides are not the same network: ${[...counts].join(' and ')} parameters.`);
  return { date: new Date().toISOString(), load: loadavg()[0], sides: results };
}
