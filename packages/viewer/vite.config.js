import { readdirSync } from 'node:fs';

import { defineConfig } from 'vite';

/** Writes files.json, the list of all that the page is made of, which the service worker keeps for work without a network. */
const listFiles = () => ({
  name: 'list-files',
  generateBundle(_, bundle) {
    const files = ['./', ...Object.keys(bundle), ...readdirSync(new URL('./public', import.meta.url))];
    const own = files.filter((name) => name !== 'index.html' && name !== 'service-worker.js');
    this.emitFile({ type: 'asset', fileName: 'files.json', source: JSON.stringify(own) });
  },
});

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  resolve: { conditions: ['source', 'onnxruntime-web-use-extern-wasm', 'import', 'module', 'browser', 'default'] },
  plugins: [listFiles()],
  worker: { format: 'es' },
  build: { target: 'es2022', outDir: 'dist', emptyOutDir: true, assetsInlineLimit: 0, chunkSizeWarningLimit: 4000 },
});
