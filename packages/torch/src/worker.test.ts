import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const addon = fileURLToPath(new URL('../build/aaunet_torch.node', import.meta.url));

/** What a thread needs of the package, without TypeScript. */
const PRELUDE = `
  const { Worker, isMainThread, parentPort } = require('node:worker_threads');
  const torch = require(${JSON.stringify(addon)});
  class Tensor extends torch.TensorHandle {}
  torch.setTensorClass(Tensor);
  const operator = (name, overload = '') => {
    const id = torch.lookup('aten::' + name, overload);
    return (...args) => torch.call(id, ...args);
  };
  const ones = operator('ones'), add = operator('add', 'Tensor'), mm = operator('mm'), sum = operator('sum');
  const train = (size) => {
    const x = ones([size, size]);
    x.requiresGrad = true;
    const loss = sum(mm(x, x));
    torch.backward([loss], [null], false);
    return new Float32Array(x.grad.buffer())[0];
  };
`;

/** Runs a script in a process of its own, because a crash at the exit of a thread takes all of it. */
function run(script: string): { status: number | null; stdout: string; stderr: string } {
  const code = `${PRELUDE}\nconst PRELUDE = ${JSON.stringify(PRELUDE)};\n${script}`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8', timeout: 50_000 });
  return { status, stdout, stderr };
}

it('threads compute side by side, each with tensors and memory of its own', () => {
  const { status, stdout, stderr } = run(`
    const body = PRELUDE + "const kept = ones([4]); parentPort.postMessage([train(16), torch.memoryStats().tensors]);";
    const workers = Array.from({ length: 4 }, () => new Worker(body, { eval: true }));
    let left = workers.length;
    for (const worker of workers) {
      worker.on('message', (message) => console.log(JSON.stringify(message)));
      worker.on('exit', () => {
        left -= 1;
        if (left === 0) console.log('main', train(8), torch.memoryStats().tensors > 0);
      });
    }
    train(32);
  `);
  expect(stderr).toBe('');
  const lines = stdout.trim().split('\n');
  expect(lines.slice(0, 4).map((line) => (JSON.parse(line) as number[])[0])).toEqual([32, 32, 32, 32]);
  expect(lines[4]).toBe('main 16 true');
  expect(status).toBe(0);
});

it('a thread that is ended in the middle of its work takes nothing with it', () => {
  const { status, stdout, stderr } = run(`
    const body = PRELUDE + "parentPort.postMessage('on'); const all = []; for (;;) { train(64); all.push(ones([100]).buffer()); }";
    (async () => {
      for (let round = 0; round < 4; round++) {
        const pair = [new Worker(body, { eval: true }), new Worker(body, { eval: true })];
        await Promise.all(pair.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
        await new Promise((resolve) => setTimeout(resolve, 30));
        await Promise.all(pair.map((worker) => worker.terminate()));
        if (train(4) !== 8) throw new Error('the main thread lost its way');
      }
      console.log('done');
    })();
  `);
  expect([stdout.trim(), stderr, status]).toEqual(['done', '', 0]);
});

it('memory shared with an array stays with its thread: transferring copies it', () => {
  const { status, stdout, stderr } = run(`
    const buffer = add(ones([2]), ones([2])).buffer();
    structuredClone(buffer, { transfer: [buffer] });
    console.log(new Float32Array(buffer).join());
    process.exit(0);
  `);
  expect([stdout, stderr, status]).toEqual(['2,2\n', '', 0]);
});
