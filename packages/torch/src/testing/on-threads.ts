import { numThreads, setNumThreads } from '../runtime.js';

/** What `run` returns on one thread and then on two. */
export function onOneAndTwoThreads<R>(run: () => R): [one: R, two: R] {
  const before = numThreads();
  const on = (threads: number): R => {
    setNumThreads(threads);
    return run();
  };
  try {
    return [on(1), on(2)];
  } finally {
    setNumThreads(before);
  }
}
