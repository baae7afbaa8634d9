// One network in aaunet: training steps or inference, at the driver's word (see worker.mjs). Settings as of peers/network.py.
import { setNumThreads } from '@aaunet/torch';

import { inferenceWorkload, trainingWorkload } from '../../packages/aaunet/dist/bench.js';
import { residentMib, serve } from './worker.mjs';

const settings = JSON.parse(process.argv[2]);
const { phase, threads } = settings;
setNumThreads(threads);
const baselineMib = residentMib();
const workload = (phase === 'train' ? trainingWorkload : inferenceWorkload)(settings);
const { parameters, dtype } = workload;
const last = () => (settings.profile ? { profile: workload.profile() } : {});
await serve(() => workload.run(), { parameters, baselineMib, computedIn: dtype }, last);
