import { parentPort } from 'node:worker_threads';

import type { CaseJob } from './write-case.js';
import { writeCase } from './write-case.js';

// One job at a time: the answer to a job is its statistics, or the sentence that says why there are none.
parentPort?.on('message', (job: CaseJob) => {
  writeCase(job).then(
    (statistics) => parentPort?.postMessage({ statistics }),
    (error: unknown) => parentPort?.postMessage({ error: error instanceof Error ? error.message : String(error) }),
  );
});
