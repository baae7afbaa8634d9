/** `npm run fuzz:dicom [-- --count 20000 --seed 0 FILE...]`: mutated made files of every kind, and of real files given. */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';

import { everyKind } from './compressed-fixture.js';
import { fuzzDicom } from './fuzz.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '0' },
    kind: { type: 'string' },
  },
});
const bases = new Map<string, Uint8Array>(positionals.length > 0 ? [] : everyKind());
for (const path of positionals) bases.set(path, await readFile(path));
let faults = 0;
for (const [kind, base] of bases) {
  if (values.kind !== undefined && values.kind !== kind) continue;
  const start = performance.now();
  const result = await fuzzDicom(base, Number(values.seed), Number(values.count));
  faults += result.faults.length;
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  const memory = Math.round(process.memoryUsage().rss / 2 ** 20);
  process.stdout.write(
    `${kind}: ${result.read} read, ${result.refused} refused, ${result.faults.length} faults, slowest ${result.slowestMs.toFixed(0)} ms, ${seconds} s, ${memory} MiB\n`,
  );
  for (const { seed, message } of result.faults.slice(0, 3)) process.stdout.write(`  seed ${seed}: ${message}\n`);
}
process.exitCode = faults > 0 ? 1 : 0;
