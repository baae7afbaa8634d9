import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Tests read the packages' TypeScript, so that none can pass on a stale build.
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source', 'node', 'import', 'default'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'packages/*/scripts/**/*.test.mjs', 'examples/*.test.ts'],
    setupFiles: ['vitest.setup.ts'],
    pool: 'forks',
    // Of two cores Vitest would leave one idle.
    maxWorkers: '100%',
    // Test files run side by side: LibTorch's threads must not spin while they wait for one another.
    env: { OMP_WAIT_POLICY: 'passive' },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
