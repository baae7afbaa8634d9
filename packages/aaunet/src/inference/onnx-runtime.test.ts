import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, expect, it } from 'vitest';

import { writePointwiseModel } from '../testing/pointwise-model.js';

const home = await mkdtemp(join(tmpdir(), 'aaunet-home-'));
afterAll(async () => {
  await rm(home, { recursive: true, force: true });
});

it('tells ONNX Runtime to keep no record of what it runs, and to send none', async () => {
  // Where it would keep its device's number and the events to be sent.
  process.env['HOME'] = home;
  delete process.env['XDG_CACHE_HOME'];
  const { loadOnnxNetwork } = await import('./onnx-network.js');
  const model = join(home, 'model.onnx');
  await writePointwiseModel(model, [[0, 0]], { window: { center: 40, width: 80 } });
  const network = await loadOnnxNetwork(model);
  await network.run(new Float32Array(3 * 32 * 32), 1);
  await network.close();
  expect(await readdir(home)).toEqual(['model.onnx']);
});
