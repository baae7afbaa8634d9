import {
  aten,
  fromTypedArray,
  libtorchInfo,
  manualSeed,
  noGrad,
  numThreads,
  profile,
  randn,
  setNumThreads,
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
}

const CLASSES = 8;

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

  const trainStep = (): void => {
    tidy(() => {
      const loss = focalLoss(
        mixedPrecision(device, dtype, () => network.forward(image)),
        target,
        weights,
      );
      loss.backward();
      loss.item();
    });
    optimizer.step(1e-3);
    optimizer.zeroGrad();
  };
  const inferWith = (forward: () => Tensor) => (): void => {
    tidy(() => noGrad(() => forward().max().item()));
  };
  const result: BenchResult = { ...settings, libtorch: libtorchInfo().libtorch, peak_rss_gib: 0 };
  if (phase !== 'infer') {
    result.train_s_per_image = median(times(steps, trainStep))! / batch;
    if (options.profile) result.train_profile = profile(trainStep);
  }
  network.eval();
  if (phase !== 'train') {
    using compiled =
      device === 'cpu'
        ? compile(network, [3, size, size], { precision: dtype === 'bf16' ? 'bfloat16' : 'float32' })
        : null;
    const infer = inferWith(() =>
      compiled ? compiled.forward(image) : mixedPrecision(device, dtype, () => network.forward(image)),
    );
    result.infer_s_per_image = median(times(steps, infer))! / batch;
    if (options.profile) result.infer_profile = profile(infer);
  }
  result.peak_rss_gib = process.resourceUsage().maxRSS / 2 ** 20;
  return result;
}

/** Seconds of each of `steps` calls, after two that warm up. */
function times(steps: number, body: () => void): number[] {
  body();
  body();
  return Array.from({ length: steps }, () => {
    const start = process.hrtime.bigint();
    body();
    return Number(process.hrtime.bigint() - start) / 1e9;
  });
}
