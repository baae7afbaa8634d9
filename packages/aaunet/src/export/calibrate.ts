import { aten, noGrad, tidy, type Tensor } from '@aaunet/torch';
import { observeConvolutions, type Convolution, type Step, type TracedTensor } from '@aaunet/torch/compile';
import type { Layer } from '@aaunet/torch/nn';

import type { QuantizedInput } from './onnx-graph.js';

/** Of the values that a convolution reads, all but this share lie within the range: outliers would cost every other digit. */
const TAIL = 1e-4;

/** So many values tell a share as well as all. */
const SAMPLE = 2 ** 20;

/** Fewer channels cost little and carry what every other layer sees: the first and the last convolution, gates, squeezes. */
const MIN_CHANNELS = 16;

function isWorthRounding({ input, weight }: Convolution): boolean {
  const [outChannels = 0, inChannels = 0] = weight.shape;
  const [, , height = 1, width = 1] = input.shape;
  return outChannels >= MIN_CHANNELS && inChannels >= MIN_CHANNELS && height * width > 1;
}

function rangeOf(values: Tensor): QuantizedInput {
  return tidy(() => {
    const flat = values.reshape(-1);
    const sample = aten.slice.Tensor(flat, 0, 0, null, Math.max(1, Math.ceil(flat.numel / SAMPLE)));
    const quantile = (share: number): number => aten.quantile.scalar(sample.to('float32'), share).item() as number;
    return { min: Math.min(0, quantile(TAIL)), max: Math.max(0, quantile(1 - TAIL)) };
  });
}

/**
 * The ranges of what the network's convolutions read on real slices: the widest over the images of each image's range
 * without outliers.
 *
 * @param images N x 3 x S x S network inputs, one after another
 */
export async function calibrate(
  network: Layer,
  traced: { readonly steps: readonly Step[]; readonly convolutionInputs: readonly TracedTensor[] },
  images: AsyncIterable<Tensor>,
): Promise<Map<TracedTensor, QuantizedInput>> {
  const wanted = new Set(
    traced.steps.flatMap((step) => (step.kind === 'convolution' && isWorthRounding(step) ? [step.input] : [])),
  );
  const ranges = new Map<TracedTensor, QuantizedInput>();
  for await (const image of images) {
    tidy(() => {
      noGrad(() => {
        observeConvolutions(
          (input, index) => {
            const tensor = traced.convolutionInputs[index]!;
            if (!wanted.has(tensor)) return;
            const found = rangeOf(input);
            const before = ranges.get(tensor) ?? found;
            ranges.set(tensor, { min: Math.min(before.min, found.min), max: Math.max(before.max, found.max) });
          },
          () => network.forward(image),
        );
      });
    });
  }
  return ranges;
}
