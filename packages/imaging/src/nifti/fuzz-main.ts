// npm run fuzz:nifti -- [RUNS] [SEED]: exit 0 only where every damaged file was read or refused in words.
import { fuzzNifti } from './fuzz.js';

const [runs, seed] = [Number(process.argv[2] ?? 20_000), Number(process.argv[3] ?? Date.now() % 1_000_000)];
const started = performance.now();
const tally = fuzzNifti(seed, runs);
console.log(JSON.stringify({ seed, ...tally, seconds: Math.round(performance.now() - started) / 1000 }));
