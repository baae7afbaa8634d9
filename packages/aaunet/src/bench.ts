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
import { AdamW } from '@aaunet/torch/optim';

import { mixedPrecision, precisionOn } from './inference/segment.js';
import { focalLoss } from './losses/focal.js';
import { median } from './metrics/median.js';
import { buildModel } from './models/registry.js';
import { GradientPass } from './training/gradient-pass.js';

export interface BenchOptions {
  model?: string;
  size?: number;
  batch?: number;
  /** Processors without instructions for bfloat16 are measured in fp32, as they train. */
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

/** Times training steps and inference of one network on random data, as the scripts of the peers in `bench/` do. */
export function bench(options: BenchOptions = {}): BenchResult {
  const { model = 'rsu-sc', size = 512, batch = 2, phase = 'both', steps = 5, device = 'cpu' } = options;
  if (options.threads !== undefined) setNumThreads(options.threads);
  const dtype = precisionOn(device, options.dtype ?? 'bf16') as 'bf16' | 'fp32';
  const settings = { model, size, batch, dtype, phase, steps, device, threads: numThreads() };
  manualSeed(0);
  using network = buildModel(model).to({ device, memoryFormat: 'channels_last' });
  using plainImage = randn([batch, 3, size, size], { device });
  using image = plainImage.contiguous('channels_last');
  const labels = BigInt64Array.from({ length: batch * size * size }, () => BigInt(Math.floor(Math.random() * CLASSES)));
  using target = fromTypedArray(labels, [batch, size, size], { device });
  using weights = aten.rand([CLASSES], { device });
  using optimizer = new AdamW(network.namedParameters());

  const gradients = (input: Tensor, labelled: Tensor): Tensor => {
    const loss = focalLoss(
      mixedPrecision(device, dtype, () => network.forward(input)),
      labelled,
      weights,
    );
    loss.backward();
    return loss;
  };
  using pass = new GradientPass(network.parameters(), device, gradients);
  const stepWith = (run: (input: Tensor, labelled: Tensor) => Tensor) => (): void => {
    tidy(() => run(image, target).item());
    optimizer.step(1e-3);
    optimizer.zeroGrad();
    if (device !== 'cpu') synchronize(device);
  };
  const inferWith = (forward: (input: Tensor) => Tensor) => (): void => {
    tidy(() => noGrad(() => forward(image).max().item()));
  };
  const result: BenchResult = { ...settings, libtorch: libtorchInfo().libtorch, peak_rss_gib: 0 };
  if (phase !== 'infer') {
    const trainStep = stepWith((input, labelled) => pass.run(input, labelled));
    result.train_s_per_image = median(times(steps, trainStep))! / batch;
    if (device !== 'cpu') result.peak_device_gib = peakMemory(device) / 2 ** 30;
    // Not of a recorded step, which is one call.
    if (options.profile) result.train_profile = profile(stepWith(gradients), device);
  }
  network.eval();
  if (phase !== 'train') {
    const forward = (input: Tensor): Tensor => mixedPrecision(device, dtype, () => network.forward(input));
    using graphed = new Graphed(device, forward);
    using compiled =
      device === 'cpu'
        ? compile(network, [3, size, size], { precision: dtype === 'bf16' ? 'bfloat16' : 'float32' })
        : null;
    const infer = inferWith((input) => (compiled ? compiled.forward(input) : graphed.run(input)));
    result.infer_s_per_image = median(times(steps, infer))! / batch;
    if (options.profile) result.infer_profile = profile(compiled ? infer : inferWith(forward), device);
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
