// npm run parity -- FIXTURE.json…: exit 0 only when every figure of every fixture is inside its tolerance.
import { basename } from 'node:path';

import { compareWithFixture } from './compare.js';
import { readFixture } from './fixture.js';

const paths = process.argv.slice(2);
if (paths.length === 0) {
  console.error('usage: npm run parity -- FIXTURE.json…   (e.g. npm run parity -- ../shared/parity/rsu*.json)');
  process.exit(2);
}

let failed = 0;
let worst = 0;
for (const path of paths) {
  try {
    const result = compareWithFixture(readFixture(path), path);
    const passed = result.worst <= 1;
    if (!passed) failed += 1;
    worst = Math.max(worst, Number.isNaN(result.worst) ? Infinity : result.worst);
    console.log(
      `${passed ? 'ok  ' : 'FAIL'} ${basename(path)}  worst ${result.worst.toPrecision(3)} of tolerance (${result.where})`,
    );
  } catch (error) {
    failed += 1;
    worst = Infinity;
    console.log(`FAIL ${basename(path)}  ${(error as Error).message}`);
  }
}
console.log(JSON.stringify({ fixtures: paths.length, failed, worst: Number.isFinite(worst) ? worst : null }));
process.exitCode = failed === 0 ? 0 : 1;
