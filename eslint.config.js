import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['**/dist/', '**/build/', '**/*.gen.ts', 'demo/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: ['packages/*/src/**/*.ts', 'examples/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // `array[i]!` inside a bounded loop is the readable way to live with noUncheckedIndexedAccess on typed arrays.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      'no-restricted-imports': [
        'error',
        {
          name: 'onnxruntime-node',
          message: 'Import inference/onnx-runtime.js, which keeps the library from reporting.',
        },
      ],
    },
  },
  {
    files: ['**/*.{js,mjs}'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        Buffer: 'readonly',
        URL: 'readonly',
        fetch: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
        setInterval: 'readonly',
        clearInterval: 'readonly',
        AbortController: 'readonly',
        AbortSignal: 'readonly',
        // Of the viewer's service worker.
        self: 'readonly',
        caches: 'readonly',
        // Of what a benchmark runs inside a page.
        document: 'readonly',
        performance: 'readonly',
        requestAnimationFrame: 'readonly',
        WheelEvent: 'readonly',
      },
    },
  },
);
