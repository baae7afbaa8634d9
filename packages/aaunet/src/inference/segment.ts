import type { HuWindow } from '@aaunet/imaging';
import { aten, autocast, noGrad, tidy, type Tensor } from '@aaunet/torch';
import type { Layer } from '@aaunet/torch/nn';

import { windowed } from '../transforms/window.js';

export type Precision = 'bf16' | 'fp32';

/** The network in the precision asked for; operators that need float32 stay in it. */
export function mixedPrecision<R>(device: string, precision: Precision, body: () => R): R {
  const type = device.startsWith('cuda') ? 'cuda' : 'cpu';
  return autocast({ device: type, dtype: 'bfloat16', enabled: precision === 'bf16' }, body);
}

/** How slices become labels. */
export interface SegmentSettings {
  readonly window: HuWindow;
  readonly device: string;
  readonly precision: Precision;
}

/**
 * Probabilities of a batch of slices: window, network, softmax over the classes; with `flip` the mean with those of the
 * mirrored slices, mirrored back.
 *
 * @param hu N x 3 x S x S HU on the CPU, S a multiple of 32
 * @returns N x 8 x S x S, float32, on the CPU
 */
export function segmentProbabilities(network: Layer, hu: Tensor, settings: SegmentSettings, flip = false): Tensor {
  return tidy(() =>
    noGrad(() => {
      const image = windowed(hu.to({ device: settings.device }), settings.window);
      const given = (input: Tensor): Tensor => {
        const logits = mixedPrecision(settings.device, settings.precision, () =>
          network.forward(input.contiguous('channels_last')),
        );
        return aten.softmax.int(logits.to('float32'), 1);
      };
      const straight = given(image);
      if (!flip) return straight.cpu().contiguous();
      const mirrored = aten.flip(given(aten.flip(image, [3])), [3]);
      return straight.add(mirrored).mul(0.5).cpu().contiguous();
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
      const image = windowed(hu.to({ device: options.device }), options.window).contiguous('channels_last');
      const logits = mixedPrecision(options.device, options.precision, () => network.forward(image));
      return aten.argmax(logits, 1).to('uint8').cpu().contiguous();
    }),
  );
}
