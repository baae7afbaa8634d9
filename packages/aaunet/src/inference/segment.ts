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

/**
 * Labels of a batch of slices: window, network, the likeliest class of every pixel.
 *
 * @param hu N x 3 x S x S HU on the CPU, S a multiple of 32
 * @returns N x S x S, uint8, on the CPU
 */
export function segmentSlices(
  network: Layer,
  hu: Tensor,
  options: { window: HuWindow; device: string; precision: Precision },
): Tensor {
  return tidy(() =>
    noGrad(() => {
      const image = windowed(hu.to({ device: options.device }), options.window).contiguous('channels_last');
      const logits = mixedPrecision(options.device, options.precision, () => network.forward(image));
      return aten.argmax(logits, 1).to('uint8').cpu().contiguous();
    }),
  );
}
