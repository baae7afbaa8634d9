// The side of a measurement that the driver talks to: one line of JSON for each line it writes. peers/worker.py is its like.
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

/** Memory of this process in MiB from /proc/self/status: VmRSS now, VmHWM at most so far. */
export function residentMib(key = 'VmRSS') {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(new RegExp(`^${key}:\\s*(\\d+) kB`, 'm').exec(status)[1]) / 1024;
}

/**
 * Says that it is ready and what the driver should know, then answers every line with the seconds of one more `step`, and the end
 * of input with its peak memory and what `last` returns.
 */
export async function serve(step, ready, last = () => ({})) {
  say({ ready: true, ...ready });
  // eslint-disable-next-line no-unused-vars
  for await (const _ of createInterface({ input: process.stdin })) {
    const start = performance.now();
    await step();
    say({ seconds: (performance.now() - start) / 1000 });
  }
  say({ peakMib: residentMib('VmHWM'), ...last() });
}
