import { aten } from '../operators.js';
import type { Tensor } from '../tensor.js';
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

/** Bilinear enlargement by a factor: N x C x H x W to N x C x fH x fW. */
export class Upsample extends Layer {
  constructor(readonly options: { scaleFactor: number; mode?: 'bilinear' | 'nearest'; alignCorners?: boolean }) {
    super();
  }

  override forward(input: Tensor): Tensor {
    const { scaleFactor, mode = 'bilinear', alignCorners = false } = this.options;
    const factors = [scaleFactor, scaleFactor];
    return mode === 'nearest'
      ? aten.upsample_nearest2d.vec(input, null, factors)
      : aten.upsample_bilinear2d.vec(input, null, alignCorners, factors);
  }
}
