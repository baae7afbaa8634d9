import fc from 'fast-check';

/**
 * Property tests draw the same cases in every run, so that a failure belongs to the change that caused it. A search for new
 * ones chooses another seed: `FAST_CHECK_SEED=$RANDOM npx vitest run`.
 */
fc.configureGlobal({ seed: Number(process.env.FAST_CHECK_SEED ?? 1) });
