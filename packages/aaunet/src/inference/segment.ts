import type { HuWindow } from '@aaunet/imaging';
import { aten, autocast, cat, fromTypedArray, bfloat16On, noGrad, tidy, type Tensor } from '@aaunet/torch';
import type { Layer } from '@aaunet/torch/nn';

import { windowed } from '../transforms/window.js';

export type Precision = 'bf16' | 'fp32' | 'fp64';

/** What a device trains in where `precision` is asked for: float32 where bfloat16 would be slower. */
export function trainingPrecision<P extends Precision>(device: string, precision: P): P | 'fp32' {
  return precision === 'bf16' && bfloat16On(device) === 'slow' ? 'fp32' : precision;
}

/**
 * What a device infers in where `precision` is asked for: float32 where it does not compute in bfloat16, since nothing is kept of a
 * forward pass whose memory bfloat16 would halve.
 */
export function inferencePrecision<P extends Precision>(device: string, precision: P): P | 'fp32' {
  return precision === 'bf16' && bfloat16On(device) !== 'computed' ? 'fp32' : precision;
}

/** What `body` computes, in bfloat16 where `precision` is that; operators that need float32 stay in it. */
export function mixedPrecision<R>(device: string, precision: Precision, body: () => R): R {
  const type = device.startsWith('cuda') ? 'cuda' : 'cpu';
  return autocast({ device: type, dtype: 'bfloat16', enabled: precision === 'bf16' }, body);
}

/** The logits of a forward pass without gradients. */
function infer(network: Layer, image: Tensor, { device, precision }: SegmentSettings): Tensor {
  return mixedPrecision(device, inferencePrecision(device, precision), () => network.forward(image));
}

/** How slices become labels. */
export interface SegmentSettings {
  readonly window: HuWindow;
  readonly device: string;
  readonly precision: Precision;
  /** Types that the network was not taught: their probability is background's, as it was in training. */
  readonly unmarked?: readonly number[] | undefined;
}

/**
 * The likeliest class of every pixel, the unmarked types counted as background.
 *
 * @param logits N x C x H x W
 * @returns N x H x W, int64
 */
export function likeliestClass(logits: Tensor, unmarked: readonly number[] = []): Tensor {
  if (unmarked.length === 0) return aten.argmax(logits, 1);
  return tidy(() => {
    const indices = (of: readonly number[]): Tensor =>
      fromTypedArray(BigInt64Array.from(of, BigInt), [of.length], { device: logits.device });
    const classes = Array.from({ length: logits.size(1) }, (_, id) => id);
    const marked = classes.filter((id) => id > 0 && !unmarked.includes(id));
    const pick = (of: readonly number[]): Tensor => aten.index_select(logits, 1, indices(of)).to('float32');
    const background = aten.logsumexp(pick([0, ...unmarked]), [1], true);
    const winner = aten.argmax(marked.length === 0 ? background : cat([background, pick(marked)], 1), 1);
    return aten.take(indices([0, ...marked]), winner);
  });
}

/** Probabilities with those of unmarked types moved to background, N x C x H x W. */
function withoutUnmarked(probabilities: Tensor, unmarked: readonly number[]): Tensor {
  if (unmarked.length === 0) return probabilities;
  const classes = Array.from({ length: probabilities.size(1) }, (_, id) => id);
  const column = (values: readonly number[]): Tensor =>
    fromTypedArray(Float32Array.from(values), [1, values.length, 1, 1], { device: probabilities.device });
  const marked = probabilities.mul(column(classes.map((id) => (unmarked.includes(id) ? 0 : 1))));
  const rest = probabilities.sub(marked).sum([1], true);
  return marked.add(rest.mul(column(classes.map((id) => (id === 0 ? 1 : 0)))));
}

/**
 * Probabilities of a batch of slices: window, network, softmax over the classes.
 *
 * @param hu N x 3 x S x S HU on the CPU, S a multiple of 32
 * @returns N x 8 x S x S, float32, on the CPU
 */
export function segmentProbabilities(network: Layer, hu: Tensor, settings: SegmentSettings): Tensor {
  return tidy(() =>
    noGrad(() => {
      const scaled = windowed(hu.to({ device: settings.device }), settings.window);
      const image = settings.precision === 'fp64' ? scaled.to('float64') : scaled;
      const logits = infer(network, image.contiguous('channels_last'), settings);
      const probabilities = aten.softmax.int(logits.to('float32'), 1);
      return withoutUnmarked(probabilities, settings.unmarked ?? [])
        .cpu()
        .contiguous();
    }),
  );
}

/**
 * Labels of a batch of slices: window, network, the likeliest class of every pixel.
 *
 * @param hu N x 3 x S x S HU on the CPU, S a multiple of 32
 * @returns N x S x S, uint8, on the CPU
 */
export function segmentSlices(network: Layer, hu: Tensor, options: SegmentSettings): Tensor {
  return tidy(() =>
    noGrad(() => {
      const scaled = windowed(hu.to({ device: options.device }), options.window).contiguous('channels_last');
      const image = options.precision === 'fp64' ? scaled.to('float64') : scaled;
      const logits = infer(network, image, options);
      return likeliestClass(logits, options.unmarked).to('uint8').cpu().contiguous();
    }),
  );
}
