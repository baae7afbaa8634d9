import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { NETWORK_WINDOW } from '@aaunet/imaging';
import { readNiftiFile, writeNiftiFile } from '@aaunet/imaging/node';
import { manualSeed, memoryStats, noGrad, randn, tidy, zeros } from '@aaunet/torch';
import { foldBatchNorms, stepsOf, trace } from '@aaunet/torch/compile';
import type { Layer } from '@aaunet/torch/nn';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { loadEngine } from '../inference/engine.js';
import { loadOnnxNetwork } from '../inference/onnx-network.js';
import { InferenceSession, Tensor } from '../inference/onnx-runtime.js';
import { buildModel, TABLE_I } from '../models/registry.js';
import { serve } from '../server/serve.js';
import { tinyScan, writeTinyDataset } from '../testing/tiny-dataset.js';
import { resolveTrainConfig } from '../training/config.js';
import { train } from '../training/train.js';
import { exportModel } from './export-model.js';
import { readExportedModel } from './exported-model.js';
import { encodeOnnx, type OnnxDescription, type OnnxGraph } from './onnx-file.js';
import { GraphBuilder } from './onnx-graph.js';

const TIMEOUT = 300_000;
const ABOUT: OnnxDescription = { producer: 'test', version: '1', description: '', metadata: {} };

/** Each encoder and decoder once, the smaller rows of the registry beside Table I's networks. */
const SMALLER = ['hrnet-w18', 'resnet18-unet', 'resnet50-unetplusplus', 'resnest14-all-attention'] as const;

/** A network with fresh weights, as the graph of an ONNX file; it and what it was traced with are the caller's to use. */
function withGraph<R>(name: string, batch: number | undefined, body: (network: Layer, graph: OnnxGraph) => R): R {
  manualSeed(1);
  using network = buildModel(name).eval();
  using blank = tidy(() => zeros([1, 3, 64, 32]).contiguous('channels_last'));
  using traced = noGrad(() => trace((image) => network.forward(image), [blank]));
  return tidy(() => {
    const steps = noGrad(() => foldBatchNorms(stepsOf(traced), traced.outputs, (tensor) => tensor));
    const builder = new GraphBuilder({ type: 'float32', batch });
    return body(network, builder.build(name, steps, traced.inputs[0]!, traced.outputs[0]!));
  });
}

interface Fed {
  readonly image: Float32Array;
  readonly wanted: Float32Array;
  readonly count: number;
}

/** Images of these numbers, and what LibTorch says of them. */
const fedWith = (network: Layer, counts: readonly number[]): Fed[] =>
  counts.map((count) => {
    const image = randn([count, 3, 64, 32]);
    const wanted = noGrad(() => network.forward(image)).contiguous();
    return { image: image.data('float32').slice(), wanted: wanted.data('float32').slice(), count };
  });

const run = async (session: InferenceSession, { image, count }: Fed): Promise<Float32Array> => {
  const { logits } = await session.run({ image: new Tensor('float32', image, [count, 3, 64, 32]) });
  expect(logits!.dims).toEqual([count, 8, 64, 32]);
  return logits!.data as Float32Array;
};

describe.each([...TABLE_I, ...SMALLER])('%s', (name) => {
  it('gives as ONNX the logits of LibTorch to 1e-4, for any number of images', { timeout: TIMEOUT }, async () => {
    const [file, fed] = withGraph(name, undefined, (network, graph) => {
      return [Buffer.concat(encodeOnnx(graph, ABOUT)), fedWith(network, [1, 3])] as const;
    });
    const session = await InferenceSession.create(file);
    expect(session.inputMetadata[0]).toMatchObject({ name: 'image', shape: ['batch', 3, 64, 32] });
    for (const one of fed) {
      const found = await run(session, one);
      const scale = one.wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      // Nothing tames the logits of an untrained HRNet, which reach millions: there float32's own digits are the limit.
      const tolerance = Math.max(1e-4, 1e-5 * scale);
      const apart = one.wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i]!)), 0);
      expect(scale).toBeGreaterThan(0.01);
      expect(apart).toBeLessThan(tolerance);
    }
    await session.release();
  });
});

it('takes the one number of images that its file was written for, and no other', async () => {
  const [file, fed] = withGraph('resnest14-all-attention', 2, (network, graph) => {
    return [Buffer.concat(encodeOnnx(graph, ABOUT)), fedWith(network, [2, 3])] as const;
  });
  const session = await InferenceSession.create(file, { logSeverityLevel: 4 });
  expect(session.inputMetadata[0]).toMatchObject({ shape: [2, 3, 64, 32] });
  expect(session.outputMetadata[0]).toMatchObject({ shape: [2, 8, 64, 32] });
  const [fits, other] = fed;
  const found = await run(session, fits!);
  expect(fits!.wanted.every((value, i) => Math.abs(value - found[i]!) < 1e-4)).toBe(true);
  await expect(run(session, other!)).rejects.toThrow(/invalid dimensions/i);
  await session.release();
});

it('writes no file of another name than .onnx, and says so before it reads the run', async () => {
  await expect(exportModel('no-run', { out: 'model.txt' })).rejects.toThrow(
    'Expected a file to write that ends in .onnx, found model.txt.',
  );
});

describe('a trained run', { timeout: TIMEOUT }, () => {
  let folder: string;
  let run: string;
  let scan: string;
  const fp32 = (): string => join(folder, 'fp32.onnx');
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'aaunet-export-test-'));
    run = join(folder, 'run');
    scan = join(folder, 'scan.nii.gz');
    const data = join(folder, 'data');
    await writeTinyDataset(data);
    const settings = {
      data,
      model: 'resnest14-all-attention',
      size: 64,
      batch: 2,
      epochs: 1,
      stepsPerEpoch: 3,
      precision: 'fp32' as const,
    };
    await train(resolveTrainConfig({ ...settings, classWeights: { background: 1 } }), { run });
    await writeNiftiFile(scan, tinyScan('unseen', 80).scan);
    await exportModel(run, { out: fp32() });
  }, TIMEOUT);
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('is described in the file, and gives the same labels through ONNX Runtime as through LibTorch', async () => {
    const network = await loadOnnxNetwork(fp32());
    expect(network.file).toMatchObject({ model: 'resnest14-all-attention', size: 64, synthetic: true });
    expect(network.exported.export).toMatchObject({ precision: 'fp32' });
    expect(network.exported).toMatchObject({ window: NETWORK_WINDOW, slices: 3, spacing: [4, 4, 5] });
    expect(network.exported.trainingData).toMatchObject({ name: 'tiny', cases: 4 });
    await network.close();
    const { scan: volume } = tinyScan('unseen', 64);
    const labels: Uint8Array[] = [];
    for (const model of [run, fp32()])
      for (const flip of [false, true]) {
        const engine = await loadEngine(model, { flip, batch: 3 });
        labels.push((await engine.segment(volume)).data, (await engine.segmentWithProbabilities!(volume)).labels.data);
        await engine.close();
      }
    const half = labels.length / 2;
    for (let i = 0; i < half; i++) {
      const same = labels[i]!.filter((label, at) => label === labels[half + i]![at]).length;
      expect(same / labels[i]!.length).toBeGreaterThanOrEqual(0.9999);
    }
  });

  it('is compared with LibTorch on slices of its training data, on phantoms where those are gone', async () => {
    const out = join(folder, 'compared.onnx');
    const { agreement, warnings } = await exportModel(run, { out });
    expect(agreement).toMatchObject({ slices: 4, source: 'training data' });
    expect(agreement.sameLabels).toBeGreaterThan(0.9999);
    expect(agreement.largestDifference).toBeLessThan(1e-4 * Math.max(1, agreement.largestLogit));
    expect(agreement.largestLogit).toBeGreaterThan(0);
    expect(warnings).toEqual([]);
    const moved = join(folder, 'moved');
    await cp(run, moved, { recursive: true });
    const config = JSON.parse(await readFile(join(run, 'config.json'), 'utf8')) as object;
    await writeFile(join(moved, 'config.json'), JSON.stringify({ ...config, data: join(folder, 'nowhere') }));
    const elsewhere = await exportModel(moved, { out });
    expect(elsewhere.agreement).toMatchObject({ slices: 4, source: 'phantoms' });
  });

  it('takes a batch that the file insists on', async () => {
    const out = join(folder, 'fixed.onnx');
    await exportModel(run, { out, batch: 2 });
    const [fixed, free] = [await loadOnnxNetwork(out), await loadOnnxNetwork(fp32())];
    using input = randn([3, 3, 64, 64]);
    const [a, b] = [await fixed.run(input.data('float32'), 3), await free.run(input.data('float32'), 3)];
    expect(a.every((value, i) => Math.abs(value - b[i]!) < 1e-4)).toBe(true);
    await fixed.close();
    await free.close();
  });

  it('halves in fp16, and is a quarter in int8 with ranges from training slices and its Dice written down', async () => {
    const sizes = { fp32: (await stat(fp32())).size, fp16: 0, int8: 0 };
    for (const precision of ['fp16', 'int8'] as const) {
      const out = join(folder, `${precision}.onnx`);
      const result = await exportModel(run, { out, precision });
      sizes[precision] = result.bytes;
      expect((await stat(out)).size).toBe(result.bytes);
      const network = await loadOnnxNetwork(out);
      expect(network.exported.export.precision).toBe(precision);
      expect(result.agreement).toMatchObject({ slices: 4, source: 'training data' });
      if (precision === 'int8') {
        expect(result.dice?.slices).toBeGreaterThan(0);
        expect(network.exported.export.dice).toEqual(result.dice);
      }
      await network.close();
    }
    expect(sizes.fp16 / sizes.fp32).toBeCloseTo(0.5, 1);
    expect(sizes.int8 / sizes.fp32).toBeLessThan(0.4);
    // Else int8 would be a smaller file that is slower than fp32: numbers rounded, unrounded and convolved as before.
    const optimizedModelFilePath = join(folder, 'optimized.onnx');
    const options = { optimizedModelFilePath, graphOptimizationLevel: 'extended', logSeverityLevel: 4 } as const;
    await (await InferenceSession.create(join(folder, 'int8.onnx'), options)).release();
    const optimized = await readFile(optimizedModelFilePath, 'latin1');
    const nodes = (type: string): number => optimized.split(`"${String.fromCharCode(type.length)}${type}`).length - 1;
    expect(nodes('QLinearConv')).toBeGreaterThan(nodes('Conv') + nodes('FusedConv'));
    const [whole, rounded] = [await loadOnnxNetwork(fp32()), await loadOnnxNetwork(join(folder, 'int8.onnx'))];
    const image = tidy(() => randn([1, 3, 64, 64]).abs().clamp(0, 1).data('float32').slice());
    const [wanted, found] = [await whole.run(image, 1), await rounded.run(image, 1)];
    const scale = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const mean = wanted.reduce((sum, value, i) => sum + Math.abs(value - found[i]!), 0) / wanted.length;
    expect(mean).toBeGreaterThan(0);
    expect(mean).toBeLessThan(0.1 * scale);
    await whole.close();
    await rounded.close();
    expect(memoryStats().tensors).toBe(0);
  });

  it('is used without LibTorch: the process never loads the addon', async () => {
    const program = fileURLToPath(new URL('../../bin/aaunet.js', import.meta.url));
    const hook = join(folder, 'no-addon.cjs');
    await writeFile(
      hook,
      "process.dlopen = ((open) => (module, path, ...rest) => { if (path.includes('aaunet_torch')) throw new Error('LibTorch was loaded'); return open.call(process, module, path, ...rest); })(process.dlopen);",
    );
    const out = join(folder, 'predicted');
    const ask = (model: string) =>
      promisify(execFile)(process.execPath, [
        '--require',
        hook,
        program,
        'predict',
        scan,
        '--model',
        model,
        '--out',
        out,
      ]);
    await expect(ask(run)).rejects.toThrow('LibTorch was loaded');
    await ask(fp32());
    const { volume } = await readNiftiFile(join(out, 'scan', 'segmentation.nii.gz'));
    expect([volume.columns, volume.rows]).toEqual([80, 80]);
  });

  it('is offered to the viewer as ONNX for as long as the server runs', async () => {
    const page = join(folder, 'page');
    await mkdir(page);
    await writeFile(join(page, 'index.html'), '<p>page</p>');
    const server = await serve({ model: run, page, port: 0 });
    const bytes = new Uint8Array(await (await fetch(new URL('model.onnx', server.url))).arrayBuffer());
    await server.close();
    expect(readExportedModel(bytes, 'served')).toMatchObject({ model: 'resnest14-all-attention', size: 64 });
    const temporary = join(folder, 'temporary');
    await mkdir(temporary);
    vi.stubEnv('TMPDIR', temporary);
    await expect(serve({ model: folder, page, port: 0 })).rejects.toThrow(/holds no checkpoint/);
    const stopped = new Error('stopped');
    await expect(serve({ model: run, page, port: 0, signal: AbortSignal.abort(stopped) })).rejects.toBe(stopped);
    vi.unstubAllEnvs();
    expect(await readdir(temporary)).toEqual([]);
  });

  it('refuses files that are damaged or not ours in a sentence', async () => {
    const good = await readFile(fp32());
    const bad = async (bytes: Uint8Array): Promise<string> => {
      const path = join(folder, 'bad.onnx');
      await writeFile(path, bytes);
      return loadEngine(path).then(
        () => 'loaded',
        (error: unknown) => (error as Error).message,
      );
    };
    expect(await bad(good.subarray(0, 5000))).toMatch(/Expected an ONNX file, found something else or a damaged file/);
    expect(await bad(Buffer.from('not protobuf at all'))).toMatch(/Expected an ONNX file/);
    expect(await bad(new Uint8Array())).toMatch(/without its description/);
    const graph = { name: 'empty', nodes: [], initializers: [], inputs: [], outputs: [] };
    const foreign = (metadata: Record<string, string>) => Buffer.concat(encodeOnnx(graph, { ...ABOUT, metadata }));
    expect(await bad(foreign({ aaunet: '{' }))).toMatch(/description of the model in .*bad\.onnx is not valid/);
    expect(await bad(foreign({ other: 'x' }))).toMatch(/without its description/);
    const description = JSON.stringify((await loadOnnxNetwork(fp32())).exported);
    expect(await bad(foreign({ aaunet: description }))).toMatch(/found (a damaged one|another) in/);
  });

  it('leaves nothing behind where it cannot be exported', async () => {
    const out = join(folder, 'gone', 'model.onnx');
    await rm(join(folder, 'data'), { recursive: true });
    await expect(exportModel(run, { out, precision: 'int8' })).rejects.toThrow(
      /^Expected the data of .* where they were in training; put them back/,
    );
    await expect(readdir(join(folder, 'gone'))).rejects.toThrow('ENOENT');
  });
});

it('refuses a network above what an ONNX file can hold before anything is written', () => {
  const bytes = new Uint8Array(2 ** 30);
  const initializers = ['a', 'b'].map((name) => ({ name, type: 'float32' as const, shape: [2 ** 28], bytes }));
  const graph = { name: 'large', nodes: [], initializers, inputs: [], outputs: [] };
  expect(() => encodeOnnx(graph, ABOUT)).toThrow(/at most 2 GB.*found 2\.1 GB/);
});
