import { cat } from '../create.js';
import { aten, operator } from '../operators.js';
import { tidy } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { hasKernel } from './has-kernel.js';
import { Layer } from './module.js';
import { imageMean } from './weigh.js';

export interface PoolOptions {
  stride?: number;
  padding?: number;
  ceilMode?: boolean;
}

/** Largest value of each window: N x C x H x W to N x C x H' x W'. */
export class MaxPool2d extends Layer {
  constructor(
    readonly kernelSize: number,
    readonly options: PoolOptions = {},
  ) {
    super();
  }

  override forward(input: Tensor): Tensor {
    const { stride = this.kernelSize, padding = 0, ceilMode = false } = this.options;
    return aten.max_pool2d(input, this.kernelSize, stride, padding, 1, ceilMode);
  }
}

/** Mean of each window: N x C x H x W to N x C x H' x W'. */
export class AvgPool2d extends Layer {
  constructor(
    readonly kernelSize: number,
    readonly options: PoolOptions & { countIncludePad?: boolean } = {},
  ) {
    super();
  }

  override forward(input: Tensor): Tensor {
    const { stride = this.kernelSize, padding = 0, ceilMode = false, countIncludePad = true } = this.options;
    return aten.avg_pool2d(input, this.kernelSize, stride, padding, ceilMode, countIncludePad);
  }
}

/** Mean over H and W: N x C x H x W to N x C x 1 x 1. */
export class GlobalAvgPool2d extends Layer {
  override forward(input: Tensor): Tensor {
    return imageMean(input);
  }
}

/** Nearest neighbour, or bilinear between pixels' centres, or bilinear with the corners' centres on each other (`aligned`). */
export type ResizeMode = 'nearest' | 'bilinear' | 'aligned';

/**
 * Images brought to one height and width (unless given, those of the largest), their channels side by side: tensors N x C_i x H_i x W_i
 * to N x sum of C_i x H x W. Where it has a kernel, nothing of the result is kept for backward.
 */
export function concatenateResized(
  tensors: readonly Tensor[],
  options: { size?: readonly [height: number, width: number]; mode?: ResizeMode } = {},
): Tensor {
  const largest = (axis: number): number => Math.max(...tensors.map(({ shape }) => shape[axis]!));
  const { size = [largest(2), largest(3)], mode = 'bilinear' } = options;
  const [first] = tensors;
  if (tensors.every((one) => hasKernel(one) && one.dtype === first!.dtype))
    return operator('aaunet::concatenate_resized')(tensors, size, mode) as Tensor;
  return tidy(() => {
    const resized = tensors.map((one) =>
      one.shape.slice(2).join() === size.join()
        ? one
        : mode === 'nearest'
          ? aten.upsample_nearest2d.vec(one, size, null)
          : aten.upsample_bilinear2d.vec(one, size, mode === 'aligned', null),
    );
    return cat(resized, 1);
  });
}

/** Enlargement by a factor: N x C x H x W to N x C x fH x fW. */
export class Upsample extends Layer {
  constructor(readonly options: { scaleFactor: number; mode?: ResizeMode }) {
    super();
  }

  override forward(input: Tensor): Tensor {
    const { scaleFactor, mode = 'bilinear' } = this.options;
    const size = [input.size(2) * scaleFactor, input.size(3) * scaleFactor] as const;
    return concatenateResized([input], { size, mode });
  }
}
