import type { Volume } from '@aaunet/imaging';
import type { InferenceSession } from 'onnxruntime-web/wasm';
import plainModule from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import plainWasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import gpuModule from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url';
import gpuWasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';

import { CLASSES, readModelInfo, type ModelInfo } from './model-file.js';
import { segmentScan, type Network } from './segment-scan.js';
import { answerCalls } from './worker-call.js';

/** Where the network runs, and why not elsewhere. */
export interface Loaded {
  readonly info: ModelInfo;
  readonly backend: string;
  readonly notes: readonly string[];
}

/** A network that can be run until it is released. */
interface OpenNetwork {
  readonly run: Network;
  readonly release: () => Promise<void>;
}

let loaded: { readonly network: OpenNetwork; readonly info: ModelInfo } | undefined;
let isStopped = false;

const threads = (): number => (self.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency || 1) : 1);

async function hasGpu(): Promise<boolean> {
  const gpu = (navigator as { gpu?: { requestAdapter(): Promise<unknown> } }).gpu;
  return gpu !== undefined && Boolean(await gpu.requestAdapter().catch(() => null));
}

type Runtime = typeof import('onnxruntime-web/wasm');

async function open(bytes: Uint8Array, useGpu: boolean): Promise<OpenNetwork> {
  const ort = useGpu
    ? ((await import('onnxruntime-web/webgpu')) as unknown as Runtime)
    : await import('onnxruntime-web/wasm');
  const at = (url: string): string => new URL(url, self.location.href).href;
  ort.env.wasm.wasmPaths = useGpu
    ? { mjs: at(gpuModule), wasm: at(gpuWasm) }
    : { mjs: at(plainModule), wasm: at(plainWasm) };
  ort.env.wasm.numThreads = threads();
  const session: InferenceSession = await ort.InferenceSession.create(bytes, {
    executionProviders: [useGpu ? 'webgpu' : 'wasm'],
  });
  const shape = session.inputMetadata[0];
  const fixed = shape?.isTensor ? shape.shape[0] : undefined;
  const count = typeof fixed === 'number' && fixed > 0 ? fixed : 1;
  const run: Network = async (input, size) => {
    const one = 3 * size * size;
    const data = new Float32Array(count * one);
    for (let n = 0; n < count; n++) data.set(input, n * one);
    const image = new ort.Tensor('float32', data, [count, 3, size, size]);
    const { logits } = await session.run({ image });
    if (logits === undefined) throw new Error('Expected an output named logits, found none: export the run again.');
    const values = (await logits.getData()) as Float32Array;
    logits.dispose();
    return values.subarray(0, CLASSES * size * size);
  };
  return { run, release: () => session.release() };
}

async function load({ bytes, gpu }: { bytes: Uint8Array; gpu: boolean }): Promise<Loaded> {
  const info = readModelInfo(bytes);
  let network: OpenNetwork | undefined;
  const notes: string[] = [];
  let useGpu = gpu && (await hasGpu());
  if (gpu && !useGpu)
    notes.push('This browser offers no WebGPU, so the network runs on the processor, which is slower.');
  if (useGpu) {
    try {
      network = await open(bytes, true);
    } catch (error) {
      useGpu = false;
      notes.push(`WebGPU could not take this network (${String(error).slice(0, 120)}); it runs on the processor.`);
    }
  }
  if (network === undefined) {
    network = await open(bytes, false).catch((error: unknown) => {
      throw new Error(
        `The network could not be loaded: ${String(error).slice(0, 200)}. It may be damaged, or need more memory than the browser gives: export it again, or close other tabs.`,
        { cause: error },
      );
    });
    if (!self.crossOriginIsolated) {
      notes.push(
        'One thread does the work: more need a page of https or of this machine, with the headers that "aaunet serve" sends.',
      );
    }
  }
  // One that cannot be opened leaves the one that is there.
  await loaded?.network.release();
  loaded = { network, info };
  return { info, backend: useGpu ? 'WebGPU' : `WebAssembly, ${threads()} threads`, notes };
}

answerCalls({
  load,
  stop() {
    isStopped = true;
  },
  async segment({ scan, start }: { scan: Volume<Int16Array>; start: number }, report) {
    if (loaded === undefined) throw new Error('Expected a loaded model, found none.');
    const { network, info } = loaded;
    isStopped = false;
    for await (const result of segmentScan(scan, info, network.run, start, () => isStopped)) {
      report(result, [result.labels.buffer]);
      // Lets a call of stop through.
      await new Promise((resume) => setTimeout(resume, 0));
    }
    return !isStopped;
  },
});
