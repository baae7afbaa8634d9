import {
  aten,
  fromTypedArray,
  Graphed,
  libtorchInfo,
  manualSeed,
  noGrad,
  numThreads,
  peakMemory,
  profile,
  randn,
  setNumThreads,
  synchronize,
  tidy,
  type ProfileRow,
  type Tensor,
} from '@aaunet/torch';
import { compile } from '@aaunet/torch/compile';
import type { Layer } from '@aaunet/torch/nn';
import { AdamW } from '@aaunet/torch/optim';

import { inferencePrecision, mixedPrecision, trainingPrecision } from './inference/segment.js';
import { focalLoss } from './losses/focal.js';
import { median } from './metrics/median.js';
import { buildModel } from './models/registry.js';
import { checkDevice } from './training/device.js';
import { GradientPass } from './training/gradient-pass.js';

export interface BenchOptions {
  model?: string;
  size?: number;
  batch?: number;
  /** A processor that would train or infer in fp32 where bf16 is asked for is measured in it. */
  dtype?: 'bf16' | 'fp32';
  phase?: 'train' | 'infer' | 'both';
  steps?: number;
  threads?: number;
  device?: 'cpu' | 'cuda';
  /** Also takes a profile of one step of each phase, after the measured ones. */
  profile?: boolean;
}

export interface BenchResult extends Required<Omit<BenchOptions, 'profile'>> {
  libtorch: string;
  /** What was computed in. */
  train_dtype?: 'bf16' | 'fp32';
  infer_dtype?: 'bf16' | 'fp32';
  /** Median seconds an image of a training step: forward, focal loss, backward, AdamW. */
  train_s_per_image?: number;
  /** Median seconds an image of a forward pass as `predict` runs it, that is compiled on the CPU. */
  infer_s_per_image?: number;
  /** What each operator took in one training step and one forward pass, the slowest first. */
  train_profile?: ProfileRow[];
  infer_profile?: ProfileRow[];
  peak_rss_gib: number;
  /** Of tensors on a CUDA device. */
  peak_device_gib?: number;
}

const CLASSES = 8;
/** On a CUDA device the third step is recorded. */
const WARM_UPS = 3;

/** What a measurement repeats. */
export interface Workload extends Disposable {
  readonly parameters: number;
  /** What it computes in. */
  readonly dtype: 'bf16' | 'fp32';
  /** Does the work once and returns when the device has done it. */
  readonly run: () => void;
  /** What each operator takes in one run. */
  readonly profile: () => ProfileRow[];
}

type WorkloadOptions = Required<Pick<BenchOptions, 'model' | 'size' | 'batch' | 'dtype' | 'device'>>;

function networkAndImage({ model, size, batch, device }: WorkloadOptions): { network: Layer; image: Tensor } {
  manualSeed(0);
  const network = buildModel(model).to({ device, memoryFormat: 'channels_last' });
  const image = tidy(() => randn([batch, 3, size, size], { device }).contiguous('channels_last'));
  return { network, image };
}

const countParameters = (network: Layer): number =>
  network.parameters().reduce((sum, parameter) => sum + parameter.numel, 0);

/** Training steps on one random batch: forward, focal loss, backward, AdamW. */
export function trainingWorkload(options: WorkloadOptions): Workload {
  const { size, batch, device } = options;
  const dtype = trainingPrecision(device, options.dtype);
  const { network, image } = networkAndImage(options);
  const labels = BigInt64Array.from({ length: batch * size * size }, () => BigInt(Math.floor(Math.random() * CLASSES)));
  const target = fromTypedArray(labels, [batch, size, size], { device });
  const weights = aten.rand([CLASSES], { device });
  const optimizer = new AdamW(network.namedParameters());
  const gradients = (input: Tensor, labelled: Tensor): Tensor => {
    const loss = focalLoss(
      mixedPrecision(device, dtype, () => network.forward(input)),
      labelled,
      weights,
    );
    loss.backward();
    return loss;
  };
  const pass = new GradientPass(network.parameters(), device, gradients);
  const stepWith = (compute: (input: Tensor, labelled: Tensor) => Tensor) => (): void => {
    tidy(() => compute(image, target).item());
    optimizer.step(1e-3);
    optimizer.zeroGrad();
    if (device !== 'cpu') synchronize(device);
  };
  return {
    parameters: countParameters(network),
    dtype,
    run: stepWith((input, labelled) => pass.run(input, labelled)),
    // Not of a recorded step, which is one call.
    profile: () => profile(stepWith(gradients), device),
    [Symbol.dispose]: () => {
      for (const part of [pass, optimizer, weights, target, image, network]) part[Symbol.dispose]();
    },
  };
}

/** Forward passes of one random batch as `predict` runs them, that is compiled on the CPU. */
export function inferenceWorkload(options: WorkloadOptions): Workload {
  const { size, device } = options;
  const dtype = inferencePrecision(device, options.dtype);
  const { network, image } = networkAndImage(options);
  network.eval();
  const forward = (input: Tensor): Tensor => mixedPrecision(device, dtype, () => network.forward(input));
  const graphed = new Graphed(device, forward);
  const compiled =
    device === 'cpu'
      ? compile(network, [3, size, size], { precision: dtype === 'bf16' ? 'bfloat16' : 'float32' })
      : null;
  const inferWith = (infer: (input: Tensor) => Tensor) => (): void => {
    tidy(() => noGrad(() => infer(image).max().item()));
  };
  const run = inferWith((input) => (compiled ? compiled.forward(input) : graphed.run(input)));
  return {
    parameters: countParameters(network),
    dtype,
    run,
    profile: () => profile(compiled ? run : inferWith(forward), device),
    [Symbol.dispose]: () => {
      for (const part of [compiled, graphed, image, network]) part?.[Symbol.dispose]();
    },
  };
}

/** Times training steps and inference of one network on random data. */
export function bench(options: BenchOptions = {}): BenchResult {
  const { model = 'rsu-sc', size = 512, batch = 2, phase = 'both', steps = 5, device = 'cpu' } = options;
  checkDevice(device);
  if (options.threads !== undefined) setNumThreads(options.threads);
  const { dtype = 'bf16' } = options;
  const settings = { model, size, batch, dtype, phase, steps, device, threads: numThreads() };
  const result: BenchResult = { ...settings, libtorch: libtorchInfo().libtorch, peak_rss_gib: 0 };
  if (phase !== 'infer') {
    using training = trainingWorkload(settings);
    result.train_dtype = training.dtype;
    result.train_s_per_image = median(times(steps, training.run))! / batch;
    if (device !== 'cpu') result.peak_device_gib = peakMemory(device) / 2 ** 30;
    if (options.profile) result.train_profile = training.profile();
  }
  if (phase !== 'train') {
    using inference = inferenceWorkload(settings);
    result.infer_dtype = inference.dtype;
    result.infer_s_per_image = median(times(steps, inference.run))! / batch;
    if (options.profile) result.infer_profile = inference.profile();
  }
  result.peak_rss_gib = process.resourceUsage().maxRSS / 2 ** 20;
  return result;
}

/** Seconds of each of `steps` calls, after those that warm up. */
function times(steps: number, body: () => void): number[] {
  for (let i = 0; i < WARM_UPS; i++) body();
  return Array.from({ length: steps }, () => {
    const start = process.hrtime.bigint();
    body();
    return Number(process.hrtime.bigint() - start) / 1e9;
  });
}
