import { expect, it } from 'vitest';

import { doctor, onnxRuntimeCheck } from './doctor.js';

it('names the version and the providers of ONNX Runtime', async () => {
  const found = (await doctor()).find(({ name }) => name === 'ONNX Runtime');
  expect(found).toMatchObject({ status: 'ok', remedy: '' });
  expect(found?.found).toMatch(/^1\.\d+\.\d+, providers cpu\b.*; \.onnx files compute on cpu$/);
});

it('says how ONNX Runtime is missing, and what to do', async () => {
  const missing = await onnxRuntimeCheck(() =>
    Promise.reject(new Error("Cannot find package 'onnxruntime-node'\nat x")),
  );
  expect(missing).toMatchObject({
    status: 'problem',
    found: "not available (Cannot find package 'onnxruntime-node')",
  });
  expect(missing.remedy).toMatch(/npm install onnxruntime-node/);
  const bare = await onnxRuntimeCheck(() =>
    Promise.resolve({ env: { versions: { common: '1.0.0' } }, listSupportedBackends: () => [] } as never),
  );
  expect(bare.status).toBe('problem');
});
