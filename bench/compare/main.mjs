/**
 * Measures aaunet side by side with what its users would take otherwise, and writes bench/REPORT.md.
 *
 *   npm run bench -- [--python python3] [--out bench/results] [--only TEXT] [--limit N] [--engines eager,nchw,compile,onnxruntime]
 *                    [--device cpu|cuda] [--threads N] [--rounds N] [--report]
 *
 * Every comparison's result is kept in --out; a comparison that has one is not made again, so that an interrupted run goes on
 * where it was. --only takes those whose name contains TEXT, --limit ends after N of them, --report makes none and writes the
 * report of what there is.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { format } from 'prettier';

import { measure } from './measure.mjs';
import { plan } from './plan.mjs';
import { prepareData } from './prepare-data.mjs';
import { scalingPlot } from './plot.mjs';
import { report } from './report.mjs';

const bench = new URL('../', import.meta.url).pathname;
const { values: options } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    out: { type: 'string', default: join(bench, 'results') },
    only: { type: 'string', default: '' },
    limit: { type: 'string', default: 'Infinity' },
    engines: { type: 'string', default: 'eager,nchw,compile,onnxruntime' },
    device: { type: 'string', default: 'cpu' },
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '' },
    report: { type: 'boolean', default: false },
  },
});
const { python, out, device } = options;
const data = await prepareData(join(out, 'data'), { device });
const comparisons = plan({
  device,
  python,
  data,
  threads: Number(options.threads),
  engines: options.engines.split(','),
});

const fileOf = ({ id }) => join(out, device, `${id.replaceAll('/', '-').replaceAll(' ', '-')}.json`);
const wanted = comparisons.filter((one) => one.id.includes(options.only) && !existsSync(fileOf(one)));
mkdirSync(join(out, device), { recursive: true });
for (const [i, one] of (options.report ? [] : wanted.slice(0, Number(options.limit))).entries()) {
  console.error(`${i + 1} of ${wanted.length}: ${one.id}`);
  const rounds = options.rounds === '' ? one.rounds : Number(options.rounds);
  const result = await measure({ ...one, rounds }, (step, seconds) => {
    console.error(`  ${step}: ${seconds.toFixed(3)} s`);
  });
  const { id, group, settings } = one;
  writeFileSync(`${fileOf(one)}.tmp`, JSON.stringify({ id, group, settings, ...result }, null, 2));
  renameSync(`${fileOf(one)}.tmp`, fileOf(one));
  for (const [name, { failure }] of Object.entries(result.sides))
    if (failure) console.error(`  ${name} failed: ${failure}`);
}

const results = comparisons
  .filter((one) => existsSync(fileOf(one)))
  .map((one) => JSON.parse(readFileSync(fileOf(one))));
const versions = execFileSync(python, [join(bench, 'peers/versions.py')], { encoding: 'utf8' }).trim();
writeFileSync(join(bench, 'scaling.svg'), scalingPlot(results));
const markdown = report(results, { versions, device, missing: comparisons.length - results.length });
writeFileSync(join(bench, 'REPORT.md'), await format(markdown, { parser: 'markdown' }));
