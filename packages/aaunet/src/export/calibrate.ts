import { aten, noGrad, tidy, type Tensor } from '@aaunet/torch';
import { observeConvolutions, type Convolution, type Step, type TracedTensor } from '@aaunet/torch/compile';
import type { Layer } from '@aaunet/torch/nn';

import type { Range, RoundedConvolution } from './onnx-graph.js';

/** Of the values that a convolution reads or gives, all but this share lie within the range: outliers would cost every other digit. */
const TAIL = 1e-4;

/** So many values tell a share as well as all. */
const SAMPLE = 2 ** 18;

/** Fewer channels cost little and carry what every other layer sees: the first and the last convolution, gates, squeezes. */
const MIN_CHANNELS = 16;

function isWorthRounding({ input, weight }: Convolution): boolean {
  const [outChannels = 0, inChannels = 0] = weight.shape;
  const [, , height = 1, width = 1] = input.shape;
  return outChannels >= MIN_CHANNELS && inChannels >= MIN_CHANNELS && height * width > 1;
}

function rangeOf(values: Tensor): Range {
  return tidy(() => {
    const flat = values.reshape(-1);
    const sample = aten.slice.Tensor(flat, 0, 0, null, Math.max(1, Math.ceil(flat.numel / SAMPLE)));
    const quantile = (share: number): number => aten.quantile.scalar(sample.to('float32'), share).item() as number;
    return { min: Math.min(0, quantile(TAIL)), max: Math.max(0, quantile(1 - TAIL)) };
  });
}

const widest = (a: Range, b: Range | undefined): Range =>
  b ? { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) } : a;

/** What the convolution gives before a residual is added, its activation included where there is none. */
function outputOf({ weight, bias, geometry, residual, activation }: Convolution, input: Tensor): Tensor {
  const { stride, padding, dilation, groups } = geometry;
  const sum = aten.conv2d(input, weight.constant!, bias?.constant ?? null, stride, padding, dilation, groups);
  return activation === 'relu' && residual === null ? sum.relu() : sum;
}

/**
 * The ranges of what the network's convolutions read and give on real slices: the widest over the images of each image's
 * range without outliers. Convolutions that stay in float32 are not in it.
 *
 * @param images N x 3 x S x S network inputs, one after another
 */
export async function calibrate(
  network: Layer,
  traced: { readonly steps: readonly Step[]; readonly convolutionInputs: readonly TracedTensor[] },
  images: AsyncIterable<Tensor>,
): Promise<Map<Convolution, RoundedConvolution>> {
  const convolutions = traced.steps.filter((step) => step.kind === 'convolution').filter(isWorthRounding);
  const ranges = new Map<Convolution, RoundedConvolution>();
  for await (const image of images) {
    tidy(() => {
      noGrad(() => {
        observeConvolutions(
          (input, index) => {
            const tensor = traced.convolutionInputs[index]!;
            // What several read is seen with the first of them.
            if (traced.convolutionInputs.indexOf(tensor) < index) return;
            const readers = convolutions.filter((step) => step.input === tensor);
            const read = readers.length > 0 ? rangeOf(input) : undefined;
            for (const step of readers) {
              const before = ranges.get(step);
              const given = tidy(() => rangeOf(outputOf(step, input)));
              ranges.set(step, { input: widest(read!, before?.input), output: widest(given, before?.output) });
            }
          },
          () => network.forward(image),
        );
      });
    });
  }
  return ranges;
}
