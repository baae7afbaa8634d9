import { readFileSync } from 'node:fs';

import { defineConfig } from 'vite';

/** Writes the service worker with the list of all that the page is made of, which it keeps for work without a network. */
const serviceWorker = () => ({
  name: 'service-worker',
  generateBundle(_, bundle) {
    const files = ['./', ...Object.keys(bundle).filter((name) => name !== 'index.html')];
    const code = readFileSync(new URL('src/service-worker.js', import.meta.url), 'utf8');
    const source = `const FILES = ${JSON.stringify(files)};\n${code}`;
    this.emitFile({ type: 'asset', fileName: 'service-worker.js', source });
  },
});

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  resolve: { conditions: ['source', 'onnxruntime-web-use-extern-wasm', 'import', 'module', 'browser', 'default'] },
  plugins: [serviceWorker()],
  worker: { format: 'es' },
  build: { target: 'es2022', outDir: 'dist', emptyOutDir: true, assetsInlineLimit: 0, chunkSizeWarningLimit: 4000 },
});
